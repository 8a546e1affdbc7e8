"""Mean and spread of what several seeds gave."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["mean_of", "spread_of"]


def mean_of(values: Sequence[float]) -> float:
    """Return the mean of the known values; NaN where none is known."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def spread_of(values: Sequence[float]) -> float:
    """Return the standard deviation of the sample, with n - 1; NaN below two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
