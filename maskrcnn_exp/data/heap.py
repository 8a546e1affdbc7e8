"""Where glibc puts arrays, so that freed ones leave no holes in the heap.

A large annotation file passes through some hundred arrays of megabytes. Once glibc has freed one of that size it takes
the next ones from its heap, where the holes that they leave stay: memory that no other process gets. And a loader
worker, which inherits the heap, would make its own copy of each hole that it uses, picture by picture.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["arrays_outside_heap", "give_pictures_back"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_SMALL: Final = 1 << 20  # bytes; what a piece of a file becomes is smaller, and soon used again
_SMALL_IN_WORKER, _KEPT_IN_WORKER = 1 << 20, 1 << 23  # bytes; a picture of COCO's size is 1 MiB, its masks some more
_LARGEST: Final = 1 << 25  # bytes, where glibc's own adjustment of the threshold ends on a 64-bit machine


@contextmanager
def arrays_outside_heap() -> Iterator[None]:
    """Inside, arrays of 1 MiB or more get pages of their own, which go back to the system when they are freed.

    Afterwards arrays of up to 32 MiB come from the heap, which is faster and what glibc itself comes to in any
    training. Without glibc nothing happens.
    """
    _set_limits(_SMALL, 2 * _SMALL)
    try:
        yield
    finally:
        # Twice as much, as glibc does; its default would give the heap's end back, and take it again, in every step.
        _set_limits(_LARGEST, 2 * _LARGEST)


def give_pictures_back(worker: int) -> None:
    """Let this process, a loader worker, return a picture's memory when it is done with it.

    Else each worker keeps what its fullest picture took. Costs some 7 % of loading a picture.
    """
    _set_limits(_SMALL_IN_WORKER, _KEPT_IN_WORKER)
    trim = _glibc("malloc_trim")  # arrays go where the heap has room for them, whatever their size
    if trim is not None:
        trim(0)


def _set_limits(array_size: int, free_end: int) -> None:
    """Set from which size on an array lies outside the heap, and how much may be free at the heap's end. Bytes."""
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, array_size)
        mallopt(_M_TRIM_THRESHOLD, free_end)


def _glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
