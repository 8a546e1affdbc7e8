"""How much memory a process has used at most, and what becomes of memory that tensors free."""

from __future__ import annotations

import ctypes
import sys

import torch

__all__ = ["keep_freed_memory", "peak_gib"]

_GIB = 2**30
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # malloc.h
_NEVER = 2**31 - 1  # bytes at the heap's end that are given back


def peak_gib(device: torch.device) -> float:
    """Return the peak in GiB: of the GPU's tensors where there is one, else of this process's resident memory."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / _GIB
    try:
        import resource
    except ImportError:  # Windows has no such count
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _GIB if sys.platform == "darwin" else peak * 1024 / _GIB  # macOS counts bytes, Linux KiB


def keep_freed_memory() -> None:
    """Let this process keep what tensors free, for the tensors of the next step.

    glibc asks the system for every large tensor and gives it back at once; the system clears each page anew, ten
    thousand pages a step. Elsewhere than with glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _NEVER)
