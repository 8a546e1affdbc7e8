"""Arrays that a data set needs for a moment leave no holes in the heap."""

from __future__ import annotations

import ctypes
import multiprocessing
import sys

import numpy as np
import pytest

from maskrcnn_exp.data.heap import arrays_outside_heap, give_pictures_back

MIB = 2**20


class MallInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks")),
        ("hblkhd", ctypes.c_size_t),  # bytes outside the heap
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def mapped_mib() -> float:
    """What glibc holds outside the heap."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if mallinfo is None:
        pytest.skip("no glibc of 2.33 or later")
    mallinfo.restype = MallInfo
    return float(mallinfo().hblkhd) / MIB


def mapped_by_an_array(mib: float) -> float:
    before = mapped_mib()
    array = np.empty(int(mib * MIB), dtype=np.uint8)
    return mapped_mib() - before + 0 * len(array)


def test_arrays_lie_outside_the_heap_inside_and_in_it_afterwards() -> None:
    with arrays_outside_heap():
        assert mapped_by_an_array(3) == pytest.approx(3, abs=0.1)
        assert mapped_by_an_array(0.5) == 0
    assert mapped_by_an_array(3) == 0
    assert mapped_by_an_array(33) == pytest.approx(33, abs=0.1)  # as ever


def test_a_loader_worker_returns_what_a_picture_took() -> None:
    with multiprocessing.get_context("fork").Pool(1, give_pictures_back, (0,)) as pool:
        assert pool.apply(mapped_by_an_array, (3,)) == pytest.approx(3, abs=0.1)
    with arrays_outside_heap():
        pass
    assert mapped_by_an_array(3) == 0  # nothing changes for the training itself
