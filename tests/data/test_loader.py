"""Order and randomness follow from (seed, epoch), for any number of workers and processes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_exp.data.loader import EpochPlan, TrainBatches, ValidationSamples, auto_workers, sample_seed
from maskrcnn_exp.data.target import Category, DatasetSummary, GroundTruth, Sample
from maskrcnn_exp.errors import DataError

# Python 3.12 warns of every fork in a process with threads; torch forks its workers.
pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


class Numbers:
    """A dataset whose picture `index` is the number itself."""

    categories = (Category(1, "number"),)

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def load(self, index: int) -> Sample:
        image = torch.full((3, 2, 2), index, dtype=torch.uint8)
        no_objects = torch.zeros((0, 2, 2), dtype=torch.uint8)
        return Sample(
            image, {"boxes": torch.zeros((0, 4)), "labels": torch.zeros(0).long(), "masks": no_objects}, index
        )

    def image_id(self, index: int) -> int:
        return index

    def annotation_ids(self, index: int) -> list[int | str]:
        return []

    def ground_truth(self) -> GroundTruth:
        return {}

    def summary(self) -> DatasetSummary:
        return DatasetSummary(len(self), 0, len(self), 0, 0)


def add_noise(sample: Sample) -> Sample:
    """An augmentation, whose draws follow from the sample's seed as they must."""
    generator = torch.Generator().manual_seed(sample.seed)
    return replace(sample, image=torch.randint(256, sample.image.shape, dtype=torch.uint8, generator=generator))


Picture = tuple[int, int, tuple[int, ...]]


def pictures(samples: Iterable[Sample]) -> list[Picture]:
    """All that can differ: which picture, which seed, which pixels."""
    return [(sample.index, sample.seed, tuple(sample.image.flatten().tolist())) for sample in samples]


def batches_of(batches: TrainBatches, epoch: int, skip: int = 0) -> list[list[Picture]]:
    return [pictures(batch) for batch in batches.epoch(epoch, skip)]


def train_batches(
    length: int = 11,
    *,
    seed: int = 3,
    batch_size: int = 4,
    augment: Callable[[Sample], Sample] | None = add_noise,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
) -> TrainBatches:
    plan = EpochPlan(seed, length, batch_size, world)
    return TrainBatches(Numbers(length), plan, augment, rank=rank, workers=workers)


PLANS = st.builds(
    EpochPlan,
    seed=st.integers(0, 2**40),
    length=st.integers(1, 60),
    batch_size=st.integers(4, 16),
    world=st.integers(1, 4),
    limit_batches=st.integers(0, 5),
)


@given(st.integers(0, 2**40), st.integers(0, 2**20), st.integers(0, 2**20))
def test_sample_seed_is_a_number_of_63_bits_that_repeats(seed: int, epoch: int, index: int) -> None:
    found = sample_seed(seed, epoch, index)
    assert 0 <= found < 2**63
    assert found == sample_seed(seed, epoch, index)


def test_sample_seeds_differ_in_every_argument() -> None:
    triples = [(seed, epoch, index) for seed in range(8) for epoch in range(8) for index in range(8)]
    assert len({sample_seed(*triple) for triple in triples}) == 512


@given(plan=PLANS, epoch=st.integers(1, 100))
def test_order_is_a_pure_function_that_shows_no_picture_twice(plan: EpochPlan, epoch: int) -> None:
    torch.rand(1)  # whatever was drawn before
    order = plan.order(epoch)
    assert order == replace(plan).order(epoch)
    shown = [position for batch in order for position in batch]
    assert len(shown) == len(set(shown))
    assert set(shown) <= set(range(plan.length))
    assert len(order) == plan.batches
    assert all(len(batch) == plan.batch_size for batch in order[:-1])
    assert all(len(batch) >= min(plan.world, plan.batch_size) for batch in order)


def test_order_differs_from_epoch_to_epoch_and_from_seed_to_seed() -> None:
    orders = [EpochPlan(seed, 20, 4).order(epoch) for seed in (0, 1) for epoch in (1, 2, 3)]
    assert len({str(order) for order in orders}) == 6
    assert all(sorted(chain(*order)) == list(range(20)) for order in orders)


@pytest.mark.parametrize(
    ("length", "batch_size", "world", "limit", "sizes"),
    [
        (8, 4, 1, 0, [4, 4]),
        (11, 4, 1, 0, [4, 4, 3]),  # the last batch is smaller
        (9, 4, 2, 0, [4, 4]),  # one picture is too few for two processes
        (10, 4, 2, 0, [4, 4, 2]),
        (3, 4, 1, 0, [3]),
        (1, 4, 2, 0, []),
        (11, 4, 1, 2, [4, 4]),
        (11, 4, 1, 9, [4, 4, 3]),  # a limit beyond the end
    ],
)
def test_batches_of_an_epoch(length: int, batch_size: int, world: int, limit: int, sizes: list[int]) -> None:
    plan = EpochPlan(0, length, batch_size, world, limit)
    assert [len(batch) for batch in plan.order(1)] == sizes
    assert plan.batches == len(sizes)


def test_limit_shows_the_first_batches_of_the_same_order() -> None:
    assert EpochPlan(0, 20, 4, limit_batches=2).order(3) == EpochPlan(0, 20, 4).order(3)[:2]


@given(plan=PLANS)
def test_shares_of_the_processes_partition_each_batch(plan: EpochPlan) -> None:
    for batch in plan.order(1):
        shares = [plan.share(batch, rank) for rank in range(plan.world)]
        assert list(chain(*shares)) == batch
        sizes = [len(share) for share in shares]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1


def test_processes_together_see_what_one_process_sees() -> None:
    whole = batches_of(train_batches(10, batch_size=4), epoch=2)
    shares = [batches_of(train_batches(10, batch_size=4, rank=rank, world=2), epoch=2) for rank in range(2)]
    assert [one + other for one, other in zip(*shares, strict=True)] == whole


def test_any_number_of_workers_gives_the_same_samples() -> None:
    expected = [batches_of(train_batches(), epoch) for epoch in (1, 2)]
    assert expected[0] != expected[1]
    for workers in (1, 2):
        loader = train_batches(workers=workers)  # the workers outlive the first epoch
        assert [batches_of(loader, epoch) for epoch in (1, 2)] == expected


def test_an_epoch_that_was_left_early_does_not_leak_into_the_next() -> None:
    expected = batches_of(train_batches(), 2)
    for workers in (0, 2):
        loader = train_batches(workers=workers)
        next(iter(loader.epoch(1)))
        assert batches_of(loader, 2) == expected


def test_seed_of_a_sample_changes_from_epoch_to_epoch() -> None:
    loader = train_batches(augment=None)
    seeds = {epoch: {i: seed for batch in batches_of(loader, epoch) for i, seed, _ in batch} for epoch in (1, 2)}
    assert seeds[1] == {index: sample_seed(3, 1, index) for index in range(11)}
    assert not set(seeds[1].values()) & set(seeds[2].values())


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("skip", [0, 1, 2, 3])
def test_skip_leaves_out_the_first_batches_and_changes_nothing_else(skip: int, workers: int) -> None:
    assert batches_of(train_batches(workers=workers), 1, skip) == batches_of(train_batches(), 1)[skip:]


def test_indices_name_the_pictures_of_a_batch() -> None:
    for rank in range(2):
        loader = train_batches(batch_size=4, rank=rank, world=2)
        shown = [[index for index, _, _ in batch] for batch in batches_of(loader, 1)]
        assert [loader.indices(1, batch) for batch in range(len(shown))] == shown


def states() -> list[object]:
    return [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]


@pytest.mark.parametrize("workers", [0, 1])
def test_global_generators_are_left_alone(workers: int) -> None:
    before = states()
    batches_of(train_batches(workers=workers), 1)
    pictures(ValidationSamples(Numbers(3), workers=workers))
    assert states() == before


@pytest.mark.parametrize("workers", [0, 2])
def test_validation_shows_every_picture_in_order_with_the_same_seed_each_time(workers: int) -> None:
    samples = ValidationSamples(Numbers(5), workers=workers)
    first, second = pictures(samples), pictures(samples)
    assert first == second
    assert [(index, seed) for index, seed, _ in first] == [(index, sample_seed(0, 0, index)) for index in range(5)]
    assert len(samples) == samples.total == 5


def test_validation_seeds_are_no_training_seeds() -> None:
    """Epochs count from 1, so epoch 0 is validation's own."""
    training = {seed for epoch in range(1, 4) for b in batches_of(train_batches(seed=0), epoch) for _, seed, _ in b}
    assert not training & {seed for _, seed, _ in pictures(ValidationSamples(Numbers(11)))}


@settings(max_examples=30, deadline=None)
@given(length=st.integers(0, 12), world=st.integers(1, 4), limit=st.integers(0, 15))
def test_validation_shares_partition_the_pictures(length: int, world: int, limit: int) -> None:
    shares = [ValidationSamples(Numbers(length), limit=limit, rank=rank, world=world) for rank in range(world)]
    shown = [index for share in shares for index, _, _ in pictures(share)]
    assert sorted(shown) == list(range(min(length, limit) if limit else length))
    assert [len(share) for share in shares] == [len(pictures(share)) for share in shares]


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("device", "processes", "expected"), [("cpu", 1, 0), ("cuda", 1, 3), ("cuda", 2, 1), ("cuda", 8, 1)]
)
def test_workers_leave_a_core_to_each_process(device: str, processes: int, expected: int) -> None:
    assert auto_workers(device, processes) == expected


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("threads", "processes", "expected"),
    [("2", 1, 1), ("3", 1, 2), ("2,1", 1, 1), ("64", 1, 3), ("2", 2, 1), ("", 1, 3), ("many", 1, 3), ("0", 1, 1)],
)
def test_workers_stay_within_the_share_of_a_machine_with_other_trainings(
    threads: str, processes: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert auto_workers("cuda", processes) == expected


@pytest.mark.usefixtures("four_cores")
def test_the_one_thread_that_torchrun_sets_is_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert auto_workers("cuda", 1) == 3


def test_threads_of_torch_follow_the_same_variable() -> None:
    """Up to the machine's cores; without the variable it takes them all."""
    code = "import torch; print(torch.get_num_threads())"
    variables = {name: value for name, value in os.environ.items() if name != "MKL_NUM_THREADS"}
    command = [sys.executable, "-c", code]
    for threads in range(1, min(3, os.cpu_count() or 1) + 1):
        asked = {**variables, "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(command, env=asked, capture_output=True, text=True, check=True)
        assert done.stdout == f"{threads}\n"


class Floats(Numbers):
    """A dataset of somebody's own whose pictures may hold NaN."""

    def load(self, index: int) -> Sample:
        return replace(super().load(index), image=torch.full((3, 2, 2), torch.nan))


def test_a_dataset_whose_pictures_may_hold_nan_is_refused_by_the_pictures_name() -> None:
    batches = TrainBatches(Floats(3), EpochPlan(0, 3, 1), None)
    with pytest.raises(DataError, match=r"picture \d: the dataset gives torch.float32. Expected uint8"):
        next(batches.epoch(1))
