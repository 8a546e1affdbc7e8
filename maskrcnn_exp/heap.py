"""Where glibc puts arrays, and what becomes of the memory that they free. Elsewhere than with glibc nothing happens.

Two wishes meet here. A training on the CPU takes and frees the same large tensors in every step: it is faster when
their memory stays in the heap. A large annotation file passes through some hundred arrays of megabytes. Once glibc has
freed one of that size it takes the next ones from its heap, where the holes that they leave stay: memory that no other
process gets. And a loader worker, which inherits the heap, would make its own copy of each hole that it uses, picture
by picture. So a training keeps what is freed, except while a data set is opened, and except in its loader workers.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["arrays_outside_heap", "give_pictures_back", "keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # glibc's malloc.h
_MANY: Final = 1 << 16  # arrays outside the heap at once, glibc's default
_NEVER: Final = 2**31 - 1  # bytes at the heap's end that are given back
_SMALL: Final = 1 << 20  # bytes; what a piece of a file becomes is smaller, and soon used again
_SMALL_IN_WORKER, _KEPT_IN_WORKER = 1 << 20, 1 << 23  # bytes; a picture of COCO's size is 1 MiB, its masks some more
_LARGEST: Final = 1 << 25  # bytes, where glibc's own adjustment of the threshold ends on a 64-bit machine

_keeps = False  # whether this process asked to keep freed memory


def keep_freed_memory() -> None:
    """Let this process keep what tensors free, for the tensors of the next step.

    glibc asks the system for every large tensor and gives it back at once; the system clears each page anew, ten
    thousand pages a step.
    """
    global _keeps
    _keeps = True
    _set_limits(_LARGEST, _NEVER, outside=0)


@contextmanager
def arrays_outside_heap() -> Iterator[None]:
    """Inside, arrays of 1 MiB or more get pages of their own, which go back to the system when they are freed.

    Afterwards arrays of up to 32 MiB come from the heap, which is faster and what glibc itself comes to in any
    training; all of them where `keep_freed_memory` was called.
    """
    _set_limits(_SMALL, 2 * _SMALL)
    try:
        yield
    finally:
        if _keeps:
            keep_freed_memory()
        else:
            # Twice as much, as glibc does; its default would give the heap's end back and take it again in every step.
            _set_limits(_LARGEST, 2 * _LARGEST)


def give_pictures_back(worker: int) -> None:
    """Let this process, a loader worker, return a picture's memory when it is done with it.

    Else each worker keeps what its fullest picture took. Costs some 7 % of loading a picture.
    """
    _set_limits(_SMALL_IN_WORKER, _KEPT_IN_WORKER)
    trim = _glibc("malloc_trim")  # arrays go where the heap has room for them, whatever their size
    if trim is not None:
        trim(0)


def _set_limits(array_size: int, free_end: int, outside: int = _MANY) -> None:
    """Set from which size on an array lies outside the heap, how much may be free at the heap's end, both in bytes.

    And how many arrays may lie outside at once.
    """
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, outside)
        mallopt(_M_MMAP_THRESHOLD, array_size)
        mallopt(_M_TRIM_THRESHOLD, free_end)


def _glibc(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
