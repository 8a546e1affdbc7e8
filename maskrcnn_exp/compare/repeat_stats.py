"""Is the winner better than the default, or was it lucky? Means, noise, and a confidence interval of the difference.

Sources: B. L. Welch 1947, "The generalization of 'Student's' problem when several different population variances
are involved", Biometrika 34; F. E. Satterthwaite 1946 for the degrees of freedom.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from maskrcnn_exp.compare.seed_stats import spread_of
from maskrcnn_exp.compare.student_t import student_t_quantile

__all__ = ["Arm", "Lost", "RepeatVerdict", "compare_arms", "metric_unit"]

Direction = Literal["maximize", "minimize"]
Outcome = Literal["real", "not proven", "worse", "unknown"]

_CONFIDENCE: Final = 0.95
_AP: Final = re.compile(r"(?:^|[/_])A[PR](?:\d+|[sml])?(?:_maxdets100)?(?:@\w+)?$")
_SECONDS: Final = re.compile(r"_s(?:@\w+)?$")


class Lost(NamedTuple):
    """Repeats of one setting that ended without a value."""

    repeats: int = 0
    diverged: int = 0  # of them


_NONE_LOST: Final = Lost()


@dataclass(frozen=True)
class Arm:
    """The results of one setting, trained with several seeds."""

    values: tuple[float, ...]
    mean: float  # NaN without a value
    sd: float  # of the sample, with n - 1; NaN below two values
    lost: Lost = _NONE_LOST

    @property
    def repeats(self) -> int:
        return len(self.values) + self.lost.repeats

    @property
    def losses(self) -> str:
        """Such as `diverged in 3 of 5`; empty where every repeat has a value."""
        if not self.lost.repeats:
            return ""
        how = "diverged" if self.lost.diverged == self.lost.repeats else "failed"
        some = f", {self.lost.diverged} of them diverged" if 0 < self.lost.diverged < self.lost.repeats else ""
        return f"{how} in {self.lost.repeats} of {self.repeats}{some}"

    @classmethod
    def of(cls, values: Sequence[float], lost: Lost = _NONE_LOST) -> Arm:
        numbers = np.asarray(values, dtype=np.float64)
        mean = float(numbers.mean()) if len(numbers) else math.nan
        sd = spread_of(numbers.tolist())
        return cls(tuple(numbers.tolist()), mean, sd, lost)


@dataclass(frozen=True)
class RepeatVerdict:
    """What the repeats say. Numbers are in the metric's own unit; `unit_scale` turns them into what is shown."""

    best: Arm
    default: Arm
    direction: Direction
    difference: float  # best minus default: mean over the pairs, or of the two means; NaN where one has no value
    half_width: float  # of the 95 % confidence interval of the difference; NaN where it cannot be known
    paired: bool  # by the seeds that both arms completed
    outcome: Outcome
    unit_scale: float
    unit: str
    names: tuple[str, str] = ("winner", "default")

    @property
    def sentence(self) -> str:
        """One plain line, such as `+3.1 ± 0.8 points over the default: real`, with the repeats that were lost."""
        lost = ", ".join(f"the {name} {arm.losses}" for name, arm in self._arms() if arm.losses)
        return f"{self._comparison()}; {lost}" if lost else self._comparison()

    def _comparison(self) -> str:
        if math.isnan(self.difference):
            return f"no repeat of both the {self.names[0]} and the {self.names[1]} finished: nothing can be said"
        if math.isnan(self.half_width):
            return f"{self._amount()}{self._unit_words()} {self._over()} the {self.names[1]}: {self._why_unknown()}"
        amount = f"{self._amount()} ± {self._scaled(self.half_width)}{self._unit_words()}"
        if self.outcome == "worse":
            return f"{amount}: worse than the {self.names[1]}"
        return f"{amount} {self._over()} the {self.names[1]}: {self.outcome}"

    def table(self) -> list[tuple[str, str, str]]:
        """Rows of setting, mean ± standard deviation, number of repeats with a value."""
        return [(name, self._arm(arm), _repeats(arm)) for name, arm in self._arms()]

    def _arms(self) -> tuple[tuple[str, Arm], tuple[str, Arm]]:
        return (self.names[0], self.best), (self.names[1], self.default)

    def _arm(self, arm: Arm) -> str:
        if not arm.values:
            return "none finished"
        spread = "" if math.isnan(arm.sd) else f" ± {self._scaled(arm.sd)}"
        return f"{arm.mean * self.unit_scale:.{self._digits()}f}{spread}{f' {self.unit}' if self.unit else ''}"

    def _why_unknown(self) -> str:
        if min(len(self.best.values), len(self.default.values)) < 2:
            return "one repeat says nothing about noise"
        return "every repeat gave the same number, so the seed changes nothing here and noise is unknown"

    def _unit_words(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{unit} (less is better)" if self.direction == "minimize" else unit

    def _over(self) -> str:
        return "over" if self.direction == "maximize" else "against"

    def _amount(self) -> str:
        return f"{self.difference * self.unit_scale:+.{self._digits()}f}"

    def _scaled(self, value: float) -> str:
        return f"{value * self.unit_scale:.{self._digits()}f}"

    def _digits(self) -> int:
        """Decimals that show the noise's first digit, at least one and at most six."""
        noise = [value for value in (self.half_width, self.best.sd, self.default.sd) if value > 0]
        size = (noise[0] if noise else abs(self.difference)) * self.unit_scale
        if not size > 0:
            return 1
        return min(6, max(1, -math.floor(math.log10(size))))


def compare_arms(
    best: Sequence[float],
    default: Sequence[float],
    direction: Direction,
    unit_scale: float = 100.0,
    *,
    unit: str | None = None,
    best_seeds: Sequence[int] | None = None,
    default_seeds: Sequence[int] | None = None,
    best_lost: Lost = _NONE_LOST,
    default_lost: Lost = _NONE_LOST,
) -> RepeatVerdict:
    """Compare the winner with the default by the 95 % confidence interval of the difference of their means.

    Where both arms have values of the same seeds, two at least and each once, the interval is Student's over the
    differences by these seeds, whether or not that is the narrower one: choosing by width would make it too narrow
    too often. Otherwise it is Welch's. `real` means that the whole interval is on the better side of zero, `worse` on
    the other one. A winner that lost more repeats than the default is never `real`: what survived is its best part.

    Args:
        best: Values of the winner, one per seed.
        default: Values of the default, one per seed. Its length may differ.
        direction: Which way is better.
        unit_scale: Factor for showing: 100 for AP (0 to 1, in points), 1 for what has a unit of its own.
        unit: Name of what is shown; points where the factor is 100, else nothing.
        best_seeds: Seed of each value. Without both lists the arms are not paired.
        default_seeds: Likewise.
        best_lost: Repeats of the winner without a value.
        default_lost: Likewise.

    Raises:
        ValueError: a value is not finite (leave a failed repeat out), or a list of seeds has another length.
    """
    _check(best, best_seeds, "best")
    _check(default, default_seeds, "default")
    pairs = _pairs(best, default, best_seeds, default_seeds)
    arms = Arm.of(best, best_lost), Arm.of(default, default_lost)
    half_width = _paired_half_width(pairs) if pairs is not None else _welch_half_width(*arms)
    if arms[0].sd == 0 and arms[1].sd == 0:
        half_width = math.nan  # a seed that changes nothing cannot show noise
    difference = arms[0].mean - arms[1].mean if pairs is None else Arm.of(pairs).mean
    outcome = _outcome(difference if direction == "maximize" else -difference, half_width)
    if outcome == "real" and best_lost.repeats > default_lost.repeats:
        outcome = "not proven"
    return RepeatVerdict(
        best=arms[0],
        default=arms[1],
        direction=direction,
        difference=difference,
        half_width=half_width,
        paired=pairs is not None,
        outcome=outcome,
        unit_scale=unit_scale,
        unit=unit if unit is not None else ("points" if unit_scale == 100 else ""),
    )


def metric_unit(metric: str) -> tuple[float, str]:
    """Return `unit_scale` and `unit` of a tag, with or without `@best`: AP and AR in points, times in seconds."""
    if _AP.search(metric):
        return 100.0, "points"
    return 1.0, "s" if _SECONDS.search(metric) else ""


def _outcome(improvement: float, half_width: float) -> Outcome:
    if math.isnan(half_width) or math.isnan(improvement):
        return "unknown"
    if abs(improvement) <= half_width:
        return "not proven"
    return "real" if improvement > 0 else "worse"


def _repeats(arm: Arm) -> str:
    return f"{len(arm.values)} of {arm.repeats}" if arm.lost.repeats else str(arm.repeats)


def _check(values: Sequence[float], seeds: Sequence[int] | None, name: str) -> None:
    broken = [value for value in values if not math.isfinite(value)]
    if broken:
        raise ValueError(f"{name}: got {broken[0]}, expected finite numbers. Leave a failed repeat out.")
    if seeds is not None and len(seeds) != len(values):
        raise ValueError(f"{name}: got {len(seeds)} seeds for {len(values)} values, expected as many.")


def _pairs(
    best: Sequence[float],
    default: Sequence[float],
    best_seeds: Sequence[int] | None,
    default_seeds: Sequence[int] | None,
) -> list[float] | None:
    """Return the differences by the seeds that both have; None where these are less than two, or one occurs twice."""
    if best_seeds is None or default_seeds is None:
        return None
    if any(len(set(seeds)) < len(seeds) for seeds in (best_seeds, default_seeds)):
        return None
    by_seed = dict(zip(default_seeds, default, strict=True))
    pairs = [value - by_seed[seed] for seed, value in zip(best_seeds, best, strict=True) if seed in by_seed]
    return pairs if len(pairs) > 1 else None


def _paired_half_width(differences: Sequence[float]) -> float:
    count = len(differences)
    return student_t_quantile((1 + _CONFIDENCE) / 2, count - 1) * Arm.of(differences).sd / math.sqrt(count)


def _welch_half_width(first: Arm, second: Arm) -> float:
    """t * sqrt(a + b) with a = s1²/n1, b = s2²/n2 and (a + b)² / (a²/(n1-1) + b²/(n2-1)) degrees of freedom."""
    n1, n2 = len(first.values), len(second.values)
    if min(n1, n2) < 2:
        return math.nan
    a, b = first.sd**2 / n1, second.sd**2 / n2
    if a + b == 0:
        return math.nan
    # Ratios, not squares: the square of a small variance would vanish.
    share = a / (a + b)
    degrees = 1 / (share**2 / (n1 - 1) + (1 - share) ** 2 / (n2 - 1))
    return student_t_quantile((1 + _CONFIDENCE) / 2, degrees) * math.sqrt(a + b)
