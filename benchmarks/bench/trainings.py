"""Our training and the reference's, side by side: the same configuration, weights and batches, one step at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks import reference
from benchmarks.bench.remote import RemoteReference
from benchmarks.reference_parts import collate, to_torchvision
from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.config_check import check_or_raise
from maskrcnn_exp.data.target import Category, InstanceDataset, Sample
from maskrcnn_exp.engine.black_box import BlackBox
from maskrcnn_exp.engine.loop import train_epoch
from maskrcnn_exp.engine.meter import EpochMeter, step_values
from maskrcnn_exp.engine.state import TrainState
from maskrcnn_exp.recipes.setup import Data, build_state, detections_limit, fabric_for, open_data
from maskrcnn_exp.record.run_log import RunLog
from maskrcnn_exp.schema import TrainConfig

__all__ = [
    "OurTraining",
    "ReferenceTraining",
    "SideBySide",
    "Turns",
    "config_of",
    "in_turns",
    "reference_training",
    "side_by_side",
]

_ENDLESS = 2**31  # batches of the one epoch that is measured


class OurTraining:
    """The loop of `recipes.epochs`, halted after each step: meter, black box and event file are fed as in a run."""

    def __init__(self, state: TrainState, log_every: int, folder: Path) -> None:
        self.state = state
        self._log_every = log_every
        self._meter = EpochMeter(state.loss_weights)
        self._black_box = BlackBox(folder / "black_box")
        self._log = RunLog.open(folder)
        self._next: list[Sample] = []
        self._records = train_epoch(
            state, self._batches(), total_batches=_ENDLESS, accumulate=1, measure_every=log_every
        )
        self._deterministic = torch.are_deterministic_algorithms_enabled()

    def _batches(self) -> Iterator[list[Sample]]:
        while True:
            yield self._next

    def step(self, batch: list[Sample]) -> None:
        torch.use_deterministic_algorithms(self._deterministic)
        self._next = batch
        record = next(self._records)
        self._meter.add(record)
        self._black_box.remember(record)
        if record.step % self._log_every == 0:
            self._log.step(record.step, step_values(record))

    def close(self) -> None:
        self._log.close()


class ReferenceTraining:
    """One iteration of the reference, from the same samples: converting and collating them is part of its step."""

    def __init__(self, training: reference.Training) -> None:
        self.training = training
        training.model.train()

    def step(self, batch: list[Sample]) -> None:
        self.step_loaded(*collate([to_torchvision(sample) for sample in batch]))

    def step_loaded(self, images: Sequence[Tensor], targets: Sequence[dict[str, Any]]) -> None:
        """Do an iteration on what the reference's own loader gives."""
        torch.use_deterministic_algorithms(False)  # torch's default, which theirs leaves as it is
        reference.train_step(self.training, list(images), list(targets))


@dataclass(frozen=True)
class SideBySide:
    """Both trainings and the batches that they take, the same one for both."""

    config: TrainConfig
    ours: OurTraining
    reference: ReferenceTraining
    batches: Sequence[list[Sample]]

    def step_ours(self, number: int) -> None:
        self.ours.step(self.batches[number % len(self.batches)])

    def step_reference(self, number: int) -> None:
        self.reference.step(self.batches[number % len(self.batches)])


@dataclass(frozen=True)
class Turns:
    """Ours in this process, the reference in another, and the batches that both take."""

    ours: OurTraining
    reference: RemoteReference
    batches: Sequence[list[Sample]]

    def step_ours(self, number: int) -> None:
        self.ours.step(self.batches[number % len(self.batches)])

    def step_reference(self, number: int) -> None:
        self.reference.step(number)


def config_of(words: Sequence[str]) -> TrainConfig:
    """Return what the command line would make of these overrides."""
    config = to_train_config(compose([*words, "run_dir=unused"]))
    check_or_raise(config)
    return config


@contextmanager
def side_by_side(
    words: Sequence[str],
    batches: Sequence[list[Sample]] | None = None,
    *,
    keep: int = 8,
    classes: int = 0,
    amp: str = "",
) -> Iterator[SideBySide]:
    """Build both trainings for these overrides.

    Args:
        batches: What to train on; None takes the first `keep` batches of the configured data.
        classes: Build the networks for so many classes instead of those of the data; 0 keeps them.
        amp: The reference's mixed precision on a GPU: fp16, bf16, or empty for fp32.
    """
    config, state, data = _build(words, classes)
    theirs = reference.start(config, data, state.network, state.fabric.device, amp)
    with _ours(config, state) as ours:
        yield SideBySide(config, ours, ReferenceTraining(theirs), batches or _first_batches(data, keep))


@contextmanager
def in_turns(
    words: Sequence[str], batches: Sequence[list[Sample]] | None = None, *, keep: int = 8, classes: int = 0
) -> Iterator[Turns]:
    """Build ours here and the reference in another process; arguments as for `side_by_side`."""
    config, state, data = _build(words, classes)
    batches = batches or _first_batches(data, keep)
    with _ours(config, state) as ours, closing(RemoteReference(words, batches, classes)) as theirs:
        yield Turns(ours, theirs, batches)


@contextmanager
def _ours(config: TrainConfig, state: TrainState) -> Iterator[OurTraining]:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(OurTraining(state, config.trainer.log_every_steps, Path(folder))) as ours,
    ):
        yield ours


def reference_training(words: Sequence[str], classes: int) -> ReferenceTraining:
    """Return the reference's training alone."""
    config, state, data = _build(words, classes)
    return ReferenceTraining(reference.start(config, data, state.network, state.fabric.device, ""))


def _build(words: Sequence[str], classes: int) -> tuple[TrainConfig, TrainState, Data]:
    config = config_of(words)
    fabric, _ = fabric_for(config.trainer)
    data = open_data(config, fabric)
    if classes:
        data = replace(data, train=cast(InstanceDataset, _WithClasses(data.train, classes)))
    detections = detections_limit(config.model.detections_per_image, data)
    state, _ = build_state(config, fabric, data, detections, load_weights=True)
    return config, state, data


class _WithClasses:
    """A dataset that claims to have so many classes."""

    def __init__(self, dataset: InstanceDataset, classes: int) -> None:
        self._dataset = dataset
        self.categories = tuple(Category(label, f"class {label}") for label in range(1, classes + 1))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def __len__(self) -> int:
        return len(self._dataset)


def _first_batches(data: Data, keep: int) -> list[list[Sample]]:
    return list(islice(data.batches.epoch(1), keep))
