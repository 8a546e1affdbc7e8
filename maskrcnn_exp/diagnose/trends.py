"""Robust trends of short, noisy curves: what moves by more than its noise, and what does not.

Every function takes one value per epoch with NaN where nothing was recorded, and looks only at the known ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Curve = NDArray[np.float64]

__all__ = ["Trend", "best_before_last", "finite", "last", "log_drop", "median", "noise_of", "running", "trend"]

_SIGMA_OF_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


@dataclass(frozen=True)
class Trend:
    """A straight line through the known points of a curve, by the median of all slopes."""

    start: float  # the line's value at the first known point
    end: float  # and at the last
    noise: float  # standard deviation of one point around a smooth curve
    points: int

    @property
    def drop(self) -> float:
        """Start minus end; negative for what rises."""
        return self.start - self.end

    @property
    def relative_drop(self) -> float:
        """Drop as a share of the start; 0 where the start is 0."""
        return self.drop / abs(self.start) if self.start else 0.0

    @property
    def error(self) -> float:
        """Standard error of the drop: that of a least-squares line through equally noisy points, times its length."""
        return self.noise * math.sqrt(12.0 / max(self.points, 1))

    def falls(self, by: float = 0.0) -> bool:
        """Say whether the curve falls by more than its noise, and by at least the share `by` of its start."""
        return bool(self.drop > limits.SURE * self.error and self.relative_drop >= by)

    def rises(self, by: float = 0.0) -> bool:
        """Say whether the curve rises by more than its noise, and by at least the share `by` of its start."""
        return bool(-self.drop > limits.SURE * self.error and -self.relative_drop >= by)


def finite(curve: Curve) -> Curve:
    """Return the known values, in order."""
    known: Curve = curve[np.isfinite(curve)]
    return known


def last(curve: Curve) -> float:
    """Return the last known value; NaN without one."""
    known = finite(curve)
    return float(known[-1]) if len(known) else math.nan


def median(curve: Curve) -> float:
    """Return the median of the known values; NaN without one."""
    known = finite(curve)
    return float(np.median(known)) if len(known) else math.nan


def noise_of(curve: Curve) -> float:
    """Return the standard deviation of one point around a smooth curve through its neighbours; NaN without points.

    Second differences remove any straight piece of the curve; their spread is √6 times that of a point, and their
    median absolute deviation does not see single jumps. Never less than NOISE_FLOOR of the curve's level, because a
    few points may lie on a line by luck. Too few points to tell give NOISE_GUESS of the level.
    """
    known = finite(curve)
    if not len(known):
        return math.nan
    level = float(np.median(np.abs(known)))
    if len(known) < 4:
        return limits.NOISE_GUESS * level
    second = known[2:] - 2 * known[1:-1] + known[:-2]
    spread = _SIGMA_OF_MAD * float(np.median(np.abs(second - np.median(second)))) / math.sqrt(6)
    return max(spread, limits.NOISE_FLOOR * level)


def trend(curve: Curve, points: int | None = None, noise: float | None = None) -> Trend | None:
    """Return the line through the last `points` known points, all where None; None for fewer than two.

    Args:
        noise: Of one point, where the caller knows it better than these points alone can tell.

    Source: Theil 1950, Sen 1968: the median of the slopes of all pairs.
    """
    positions = np.flatnonzero(np.isfinite(curve))[-points if points else 0 :]
    if len(positions) < 2:
        return None
    positions = positions[:: math.ceil(len(positions) / limits.LINE_POINTS)]
    values = curve[positions]
    first, second = np.triu_indices(len(positions), k=1)
    slope = float(np.median((values[second] - values[first]) / (positions[second] - positions[first])))
    middle = float(np.median(values - slope * positions))
    spread = noise_of(curve) if noise is None else noise
    start, end = (middle + slope * float(where) for where in (positions[0], positions[-1]))
    return Trend(start, end, spread, len(positions))


def log_drop(curve: Curve) -> float:
    """Return ln(first / last), each the median of up to two known points at its end; NaN for too few, or not > 0.

    It compares how fast losses of different sizes fall: 0.69 is a halving.
    """
    known = finite(curve)
    if len(known) < 3:
        return math.nan
    ends = 2 if len(known) >= 5 else 1
    first, final = float(np.median(known[:ends])), float(np.median(known[-ends:]))
    return math.log(first / final) if first > 0 and final > 0 else math.nan


def best_before_last(curve: Curve) -> float:
    """Return the least known value but for the last; NaN for fewer than two."""
    known = finite(curve)
    return float(known[:-1].min()) if len(known) > 1 else math.nan


def running(holds: NDArray[np.bool_]) -> int | None:
    """Return where the unbroken run of True at the end begins; None where the last is not True."""
    if not len(holds) or not holds[-1]:
        return None
    breaks = np.flatnonzero(~holds)
    return int(breaks[-1]) + 1 if len(breaks) else 0
