"""How much memory a process has used at most."""

from __future__ import annotations

import sys

import torch

__all__ = ["peak_gib"]

_GIB = 2**30


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
