"""Freed memory is kept for the next step, and what a data set needs for a moment leaves no holes in it."""

from __future__ import annotations

import ctypes
import multiprocessing
import platform
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import numpy as np
import pytest
import torch

from maskrcnn_exp import heap
from maskrcnn_exp.heap import arrays_outside_heap, give_pictures_back, keep_freed_memory

MIB = 2**20
STEPS = 3
T = TypeVar("T")

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="no glibc of 2.33 or later"
)


class MallInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks")),
        ("hblkhd", ctypes.c_size_t),  # bytes outside the heap
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


@pytest.fixture
def alone() -> Iterator[Callable[[Callable[[], T]], T]]:
    """Run a function in a process of its own, for what glibc is told cannot be taken back."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield lambda function: pool.submit(function).result(timeout=300)


def outside(mib: float) -> float:
    """How much of an array of this size lies outside the heap, MiB."""
    before = mapped_mib()
    array = np.empty(int(mib * MIB), dtype=np.uint8)
    return mapped_mib() - before + 0 * len(array)


def mapped_mib() -> float:
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = MallInfo
    return float(mallinfo().hblkhd) / MIB


def while_opening_and_afterwards() -> list[float]:
    with arrays_outside_heap():
        found = [outside(3), outside(0.5)]
    return [*found, outside(3), outside(33)]


def the_same_where_memory_is_kept() -> list[float]:
    keep_freed_memory()
    return while_opening_and_afterwards()


def in_a_worker_of_a_training_and_in_the_training() -> list[float]:
    keep_freed_memory()
    with multiprocessing.get_context("fork").Pool(1, give_pictures_back, (0,)) as pool:
        return [pool.apply(outside, (3,)), outside(3)]


@needs_glibc
def test_arrays_lie_outside_the_heap_inside_and_in_it_afterwards(alone: Callable[..., list[float]]) -> None:
    assert alone(while_opening_and_afterwards) == pytest.approx([3, 0, 0, 33], abs=0.1)  # 33 MiB: as ever


@needs_glibc
def test_a_training_opens_its_data_set_outside_too_and_keeps_freed_memory_again(
    alone: Callable[..., list[float]],
) -> None:
    assert alone(the_same_where_memory_is_kept) == pytest.approx([3, 0, 0, 0], abs=0.1)


@needs_glibc
def test_a_loader_worker_returns_what_a_picture_took_and_its_training_keeps_it(
    alone: Callable[..., list[float]],
) -> None:
    assert alone(in_a_worker_of_a_training_and_in_the_training) == pytest.approx([3, 0], abs=0.1)


def faults_of_steps_as_usual_and_kept() -> list[int]:
    torch.set_num_threads(1)
    usual = faults(warm_up=1)
    keep_freed_memory()
    return [usual, faults(warm_up=10)]  # until the heap is as large as a step needs


def faults(warm_up: int) -> int:
    import resource

    for _ in range(warm_up):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(STEPS):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def step() -> float:
    one = torch.ones(9 * 2**20)  # 36 MiB, more than glibc would ever keep by itself
    other = one + one
    return float(other[-1])


@needs_glibc
def test_a_step_takes_its_tensors_from_kept_pages(alone: Callable[..., list[int]]) -> None:
    usual, kept = alone(faults_of_steps_as_usual_and_kept)
    assert usual >= STEPS * 2 * 18  # even where one fault brings a page of 2 MiB
    assert kept * 10 < usual


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(heap, "_keeps", False)
    monkeypatch.setattr(ctypes, "CDLL", asked.append)
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()
    with arrays_outside_heap():
        give_pictures_back(0)
    assert asked == []


def test_a_c_library_without_mallopt_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Musl:
        def __init__(self, name: object) -> None:
            asked.append(name)

    monkeypatch.setattr(heap, "_keeps", False)
    monkeypatch.setattr(ctypes, "CDLL", Musl)
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    assert asked == [None]  # the process itself was asked
