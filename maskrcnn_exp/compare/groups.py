"""Runs that differ in nothing but the seed, as one setting; and what one setting has that another has not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from maskrcnn_exp.compare.repeat_stats import Lost, RepeatVerdict, compare_arms, metric_unit
from maskrcnn_exp.compare.runs import Run, Setting
from maskrcnn_exp.compare.seed_stats import mean_of, spread_of
from maskrcnn_exp.compare.student_t import student_t_quantile
from maskrcnn_exp.record import tags

__all__ = ["Comparison", "Group", "compare"]

_SEED: Final = "seed"
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Group:
    """Runs of one setting, in the order given."""

    runs: tuple[Run, ...]
    differs: Mapping[str, Setting]  # the settings in which the groups differ, as they are here

    @property
    def name(self) -> str:
        """Of the first run, and how many more there are."""
        more = len(self.runs) - 1
        return self.runs[0].name + (f" +{more}" if more else "")

    def mean_best(self, tag: str) -> float:
        """Return the mean over the runs of their best value; NaN where none has one."""
        return mean_of([value for _, value in (run.best(tag) or (0, math.nan) for run in self.runs)])

    def mean_last(self, tag: str) -> float:
        return mean_of([run.last(tag) for run in self.runs])

    def spread(self, tag: str) -> float:
        """Return the standard deviation (n - 1) of the best values; NaN below two."""
        values = [point[1] for point in (run.best(tag) for run in self.runs) if point is not None]
        return spread_of(values)

    def results(self, tag: str) -> tuple[list[float], list[int] | None, Lost]:
        """Return the runs' best values, their seeds where all have one, and the runs without a value."""
        with_value = [(point[1], run.seed) for run in self.runs if (point := run.best(tag)) is not None]
        seeds = [seed for _, seed in with_value if isinstance(seed, int)]
        without = [run for run in self.runs if run.best(tag) is None]
        lost = Lost(len(without), sum(bool(run.crash) for run in without))
        return [value for value, _ in with_value], seeds if len(seeds) == len(with_value) else None, lost


@dataclass(frozen=True)
class Comparison:
    """All groups beside each other, the best first."""

    metric: str  # tag by whose best value they are ranked
    groups: tuple[Group, ...]
    baseline: Group  # the one of the first run given
    keys: tuple[str, ...]  # settings in which the groups differ

    @property
    def best(self) -> Group:
        return self.groups[0]

    @cached_property
    def noise(self) -> tuple[float, int] | None:
        """Standard deviation of a run between seeds, pooled over the groups, and its degrees of freedom."""
        squares = [(group.spread(self.metric) ** 2, len(group.results(self.metric)[0]) - 1) for group in self.groups]
        known = [(square, degrees) for square, degrees in squares if not math.isnan(square)]
        degrees = sum(count for _, count in known)
        if not degrees:
            return None
        return math.sqrt(sum(square * count for square, count in known) / degrees), degrees

    def verdict(self, group: Group, other: Group) -> RepeatVerdict:
        """Say whether a group is better than another, by more than the noise between seeds."""
        values, seeds, lost = group.results(self.metric)
        their_values, their_seeds, their_lost = other.results(self.metric)
        scale, unit = metric_unit(self.metric)
        return compare_arms(
            values,
            their_values,
            "minimize" if tags.falls(self.metric) else "maximize",
            scale,
            unit=unit,
            best_seeds=seeds,
            default_seeds=their_seeds,
            best_lost=lost,
            default_lost=their_lost,
        )

    def half_width_by_noise(self, group: Group, other: Group) -> float:
        """Return half the 95 % interval of the difference of two means, by the pooled noise; NaN where it is unknown.

        t · s · √(1/n₁ + 1/n₂): Fisher's least significant difference.
        """
        counts = [len(one.results(self.metric)[0]) for one in (group, other)]
        if self.noise is None or not all(counts):
            return math.nan
        spread, degrees = self.noise
        return student_t_quantile((1 + _CONFIDENCE) / 2, degrees) * spread * math.sqrt(sum(1 / n for n in counts))


def compare(runs: Sequence[Run], metric: str) -> Comparison:
    """Group the runs by their settings without the seed, and rank the groups; those without a value come last."""
    alike: dict[tuple[tuple[str, str], ...] | str, list[Run]] = {}
    for run in runs:
        settings = tuple(sorted((key, repr(value)) for key, value in run.settings.items() if key != _SEED))
        alike.setdefault(settings or str(run.folder), []).append(run)
    keys = _differing([members[0] for members in alike.values()])
    groups = [Group(tuple(members), {key: members[0].settings.get(key) for key in keys}) for members in alike.values()]
    sign = 1 if tags.falls(metric) else -1
    ranked = sorted(groups, key=lambda group: _last_where_unknown(sign * group.mean_best(metric)))
    return Comparison(metric, tuple(ranked), groups[0], keys)


def _differing(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the settings that are not the same in all runs, in the order of the configuration; never the seed."""
    own = [run for run in runs if run.settings]
    keys = dict.fromkeys(key for run in own for key in run.settings if key != _SEED)
    return tuple(key for key in keys if len({repr(run.settings.get(key, "")) for run in own}) > 1)


def _last_where_unknown(value: float) -> float:
    return math.inf if math.isnan(value) else value
