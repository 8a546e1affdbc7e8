"""Batches whose order and randomness are functions of (seed, epoch), for any number of workers and processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from maskrcnn_exp.data.target import InstanceDataset, Sample
from maskrcnn_exp.data.worker_signals import leave_signals_to_training, workers_begin_deaf
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.heap import give_pictures_back

__all__ = ["EpochPlan", "TrainBatches", "ValidationSamples", "auto_workers", "sample_seed"]

_VALIDATION_EPOCH = 0  # training epochs count from 1, so validation draws are its own and the same each time


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Return the seed of one sample in one epoch, 0 … 2**63 - 1: all its randomness follows from it."""
    state = np.random.SeedSequence([seed, epoch, index]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def auto_workers(device_type: str, processes: int) -> int:
    """Return loader processes per device: none on a CPU, whose cores the training itself needs; up to 8 for a GPU.

    Args:
        device_type: cpu or cuda.
        processes: Of this training, one per device.
    """
    if device_type == "cpu":
        return 0
    return max(1, min(8, _cores_of_each(processes) - 1))


def _cores_of_each(processes: int) -> int:
    """Return the cores that one process of a training may use.

    Those that the system gives us, in equal shares; fewer where OMP_NUM_THREADS says that other trainings share the
    machine. torch's own threads follow that variable too.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = cores // processes
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list has a number per nesting level
    # torchrun sets it to 1 for everyone who has not set it: that says nothing about this machine.
    if threads.isdecimal() and "TORCHELASTIC_RUN_ID" not in os.environ:
        share = min(share, int(threads))
    return share


@dataclass(frozen=True)
class EpochPlan:
    """Which pictures form which batch. `length` pictures, `batch_size` over all `world` processes.

    The last batch may be smaller; one with fewer pictures than processes is left out, since a process without a
    picture has no loss.
    """

    seed: int
    length: int
    batch_size: int
    world: int = 1
    limit_batches: int = 0  # 0: all

    @property
    def batches(self) -> int:
        """Number of batches in an epoch."""
        full, rest = divmod(self.length, self.batch_size)
        total = full + (1 if rest >= self.world else 0)
        return min(total, self.limit_batches) if self.limit_batches else total

    def order(self, epoch: int) -> list[list[int]]:
        """Return the epoch's batches as positions in the dataset; each position at most once."""
        generator = torch.Generator().manual_seed(sample_seed(self.seed, epoch, self.length))
        positions: list[int] = torch.randperm(self.length, generator=generator).tolist()
        starts = range(0, self.batches * self.batch_size, self.batch_size)
        return [positions[start : start + self.batch_size] for start in starts]

    def share(self, batch: Sequence[int], rank: int) -> list[int]:
        """Return the pictures of one batch that process `rank` takes: contiguous, sizes differ by at most one."""
        return [int(position) for position in np.array_split(np.asarray(batch), self.world)[rank]]


class _SeededSamples(Dataset[Sample]):
    """A dataset asked by (epoch, index): the key carries the epoch to workers that outlive it."""

    def __init__(self, dataset: InstanceDataset, seed: int, augment: Callable[[Sample], Sample] | None) -> None:
        self.dataset = dataset
        self.seed = seed
        self.augment = augment

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        sample = self.dataset.load(index)
        if sample.image.dtype != torch.uint8:  # nothing else cannot hold NaN, which would end the training at the loss
            raise DataError(
                f"picture {self.dataset.image_id(index)!r}: the dataset gives {sample.image.dtype}. "
                "Expected uint8 [3, h, w], RGB, 0 to 255."
            )
        sample = replace(sample, seed=sample_seed(self.seed, epoch, index))
        return sample if self.augment is None else self.augment(sample)


class _Keys:
    """The batch sampler: the keys of the batches still to come in the current epoch."""

    def __init__(self) -> None:
        self.keys: list[list[tuple[int, int]]] = []

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.keys)

    def __len__(self) -> int:
        return len(self.keys)


def _as_list(samples: list[Sample]) -> list[Sample]:
    return samples


class TrainBatches:
    """One process's training batches."""

    def __init__(
        self,
        dataset: InstanceDataset,
        plan: EpochPlan,
        augment: Callable[[Sample], Sample] | None,
        *,
        rank: int = 0,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.plan = plan
        self._rank = rank
        self._keys = _Keys()
        self._loader = _loader(_SeededSamples(dataset, plan.seed, augment), self._keys, workers, pin_memory)

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[list[Sample]]:
        """Yield the batches of `epoch` (from 1), without the first `skip`."""
        order = self.plan.order(epoch)[skip:]
        self._keys.keys = [[(epoch, index) for index in self.plan.share(batch, self._rank)] for batch in order]
        with workers_begin_deaf():
            return iter(self._loader)

    def indices(self, epoch: int, batch: int) -> list[int]:
        """Return the dataset positions of one batch of this process; `batch` counts from 0."""
        return self.plan.share(self.plan.order(epoch)[batch], self._rank)


class ValidationSamples:
    """One process's validation pictures, one at a time, each with the same seed in every epoch."""

    def __init__(
        self,
        dataset: InstanceDataset,
        *,
        seed: int = 0,
        limit: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.total = min(len(dataset), limit) if limit else len(dataset)
        self._keys = _Keys()
        self._keys.keys = [[(_VALIDATION_EPOCH, index)] for index in range(rank, self.total, world)]
        self._loader = _loader(_SeededSamples(dataset, seed, None), self._keys, workers, pin_memory)

    def __len__(self) -> int:
        """Number of this process's pictures."""
        return len(self._keys)

    def __iter__(self) -> Iterator[Sample]:
        with workers_begin_deaf():
            batches = iter(self._loader)
        return (batch[0] for batch in batches)


def _begin_work(worker: int) -> None:
    leave_signals_to_training()
    give_pictures_back(worker)


def _loader(samples: _SeededSamples, keys: _Keys, workers: int, pin_memory: bool) -> DataLoader[Sample]:
    return DataLoader(
        samples,
        batch_sampler=keys,
        num_workers=workers,
        collate_fn=_as_list,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=_begin_work,
        generator=torch.Generator(),  # the loader's own draws must not move the global generator
    )
