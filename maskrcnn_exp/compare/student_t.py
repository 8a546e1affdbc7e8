"""Quantiles of Student's t without SciPy, by its incomplete beta function: Abramowitz and Stegun, 26.7.1 and 26.5.8."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

__all__ = ["student_t_quantile"]

_FRACTION_TERMS: Final = 60  # enough for ten digits up to a million degrees of freedom


@lru_cache(maxsize=64)
def student_t_quantile(probability: float, degrees: float) -> float:
    """Return t with P(T <= t) = `probability` for Student's t, to about ten digits.

    Args:
        probability: From 0.5 up, below 1.
        degrees: Of freedom, at least 1, not necessarily whole.
    """
    low, high = 0.0, 1.0
    while _student_t_cdf(high, degrees) < probability:
        low, high = high, 2 * high
    for _ in range(60):  # halves an interval of at most its own lower end 60 times: below rounding
        middle = (low + high) / 2
        low, high = (middle, high) if _student_t_cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def _student_t_cdf(t: float, degrees: float) -> float:
    """P(T <= t) for t >= 0 = 1 - I_x(v/2, 1/2) / 2 with x = v / (v + t²)."""
    return 1 - 0.5 * _incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised I_x(a, b), on the side of x where its continued fraction converges fast."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _beta_fraction(x, a, b))


def _beta_fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + …)) of Abramowitz and Stegun 26.5.8, from its tail up."""
    value = 1.0
    for m in range(_FRACTION_TERMS, 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        value = 1 + even / (1 + odd / value)
    return 1 - (a + b) * x / (a + 1) / value
