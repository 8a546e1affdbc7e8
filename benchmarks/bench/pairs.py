"""Two things timed in turns, so that whatever else the machine does meets both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Paired", "interleave"]


@dataclass(frozen=True)
class Paired:
    """Seconds of each pair, in the order of measurement."""

    ours: tuple[float, ...]
    reference: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """How many times faster ours was, pair by pair."""
        return [theirs / mine for mine, theirs in zip(self.ours, self.reference, strict=True)]

    @property
    def ratio(self) -> float:
        """Median over the pairs."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> str:
        """Quartiles of the ratio; the extremes where there are fewer than eight pairs."""
        ratios = sorted(self.ratios)
        if len(ratios) < 8:
            return f"{ratios[0]:.2f} to {ratios[-1]:.2f}, {len(ratios)} pairs"
        low, _, high = statistics.quantiles(ratios, n=4)
        return f"{low:.2f} to {high:.2f}, quartiles of {len(ratios)} pairs"

    @property
    def medians(self) -> tuple[float, float]:
        """Median seconds of ours and of the reference."""
        return statistics.median(self.ours), statistics.median(self.reference)


def interleave(ours: Callable[[int], object], reference: Callable[[int], object], *, pairs: int, warmup: int) -> Paired:
    """Time both on 0, 1, 2, …; who goes first changes from pair to pair.

    Args:
        ours, reference: Called with the number of the pair; two calls with one number must do the same work.
        pairs: Timed pairs.
        warmup: Pairs before them that do not count.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(warmup + pairs):
        sides = [(ours, seconds[0]), (reference, seconds[1])]
        for run, found in sides if number % 2 == 0 else reversed(sides):
            taken = _time(run, number)
            if number >= warmup:
                found.append(taken)
    return Paired(tuple(seconds[0]), tuple(seconds[1]))


def _time(run: Callable[[int], object], number: int) -> float:
    _wait_for_gpu()
    started = time.perf_counter()
    run(number)
    _wait_for_gpu()
    return time.perf_counter() - started


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
