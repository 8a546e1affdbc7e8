"""What a study's trials show beside their ranking: where training explodes, what the winner did to each loss, time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.sweep.attrs import DIVERGED, RECORD
from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.trial_text import number_text, seconds_of

__all__ = [
    "ExplosionRegion",
    "LossChange",
    "TimeSpent",
    "diverged",
    "explosion_regions",
    "final_losses",
    "loss_changes",
    "numeric_value",
    "time_spent",
]

_LEAST: Final = 2  # trials of a region, and diverged ones in it: one is an accident


@dataclass(frozen=True)
class ExplosionRegion:
    """An end of a parameter's range in which trials diverged."""

    parameter: str
    side: Literal["upper", "lower"]
    edge: float  # the tried value nearest to the rest of the range; belongs to the region
    diverged: int
    trials: int  # in the region, those that failed for another reason aside
    diverged_elsewhere: int
    trials_elsewhere: int

    @property
    def sentence(self) -> str:
        sign = "≥" if self.side == "upper" else "≤"
        return (
            f"{self.parameter} {sign} {number_text(self.edge)}: {self.diverged} of {self.trials} trials diverged"
            f" (elsewhere {self.diverged_elsewhere} of {self.trials_elsewhere})"
        )


@dataclass(frozen=True)
class LossChange:
    """A loss in the last epoch of the winner and of the median completed trial."""

    loss: str
    winner: float
    median: float

    @property
    def relative(self) -> float:
        """(winner - median) / median; infinite where the median is 0 and the winner is not."""
        if self.median == 0:
            return 0.0 if self.winner == 0 else math.inf
        return (self.winner - self.median) / abs(self.median)


@dataclass(frozen=True)
class TimeSpent:
    """Training time of a study in seconds."""

    total: float
    saved: float | None  # by pruning; None where no trial completed, so that nobody knows how long one takes
    typical: float | None  # median of the completed trials


def diverged(trial: FrozenTrial) -> bool:
    """Tell whether a trial was pruned or failed because its numbers exploded, or completed at infinity."""
    if trial.state is TrialState.COMPLETE:
        return not all(map(math.isfinite, trial.values))
    return trial.state in (TrialState.PRUNED, TrialState.FAIL) and bool(trial.user_attrs.get(DIVERGED))


def numeric_value(trial: FrozenTrial, parameter: str) -> float | None:
    """Return the value of a numeric parameter; None where the trial does not have it or it is no finite number."""
    value = trial.params.get(parameter)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def explosion_regions(trials: Iterable[FrozenTrial], parameter: str) -> tuple[ExplosionRegion, ...]:
    """Find the ends of a parameter's range in which trials diverged; none, one or both.

    A region is a tail of the tried values. Of all tails in which at least two trials, and at least half of the
    trials, diverged, it is the one with the most diverged minus not diverged trials, the smallest of equal ones.
    A tail must do worse than the rest of the range, so there is none where everything diverged. Where the two ends
    overlap the better one counts; where they are equally good, neither does.

    Args:
        trials: In any state. One that failed for another reason is left out, because nobody knows what it would
            have done; so is one without the parameter.
        parameter: A numeric one.
    """
    points = sorted(
        (value, diverged(trial))
        for trial in trials
        if (value := numeric_value(trial, parameter)) is not None and _tells(trial)
    )
    upper = _best_tail(parameter, "upper", points)
    lower = _best_tail(parameter, "lower", points)
    if upper is None or lower is None or lower.edge < upper.edge:
        return tuple(region for region in (lower, upper) if region is not None)
    if _score(upper) == _score(lower):
        return ()
    return (max(upper, lower, key=_score),)


def _tells(trial: FrozenTrial) -> bool:
    if trial.state is TrialState.FAIL:
        return diverged(trial)
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _best_tail(
    parameter: str, side: Literal["upper", "lower"], points: Sequence[tuple[float, bool]]
) -> ExplosionRegion | None:
    tails = [_tail(parameter, side, edge, points) for edge in sorted({value for value, exploded in points if exploded})]
    worth = [tail for tail in tails if _is_region(tail)]
    return max(worth, key=lambda tail: (_score(tail), -tail.trials), default=None)


def _tail(
    parameter: str, side: Literal["upper", "lower"], edge: float, points: Sequence[tuple[float, bool]]
) -> ExplosionRegion:
    inside = [exploded for value, exploded in points if (value >= edge if side == "upper" else value <= edge)]
    everywhere = sum(exploded for _, exploded in points)
    return ExplosionRegion(
        parameter, side, edge, sum(inside), len(inside), everywhere - sum(inside), len(points) - len(inside)
    )


def _is_region(tail: ExplosionRegion) -> bool:
    if tail.diverged < _LEAST or 2 * tail.diverged < tail.trials:
        return False
    # The share inside is above the one elsewhere; false where nothing is elsewhere.
    return tail.diverged * tail.trials_elsewhere > tail.diverged_elsewhere * tail.trials


def _score(tail: ExplosionRegion) -> int:
    return 2 * tail.diverged - tail.trials


def final_losses(trial: FrozenTrial) -> dict[str, float]:
    """Return each training loss in the last epoch, as far as the trial's record has it."""
    losses = trial.user_attrs.get(RECORD, {}).get("losses", {})
    return {name: float(losses[name]["final"]) for name in LOSSES if "final" in losses.get(name, {})}


def loss_changes(winner: FrozenTrial, completed: Iterable[FrozenTrial]) -> list[LossChange]:
    """Compare the winner's last losses with the median of all completed trials, itself among them.

    A loss that the winner's record does not have is left out; so are all where nothing else completed.
    """
    trials = list(completed)
    if len(trials) < 2:
        return []
    finals = [final_losses(trial) for trial in trials]
    return [
        LossChange(loss, value, median(losses[loss] for losses in finals if loss in losses))
        for loss, value in final_losses(winner).items()
        if any(loss in losses for losses in finals)
    ]


def time_spent(standing: Standing) -> TimeSpent:
    """Add up the training time, and estimate what pruning saved.

    The estimate: each pruned trial would have taken as long as the median completed one.
    """
    completed = [seconds_of(trial) for trial in standing.of(TrialState.COMPLETE)]
    total = sum(seconds_of(trial) for trial in standing.finished)
    if not completed:
        return TimeSpent(total, None, None)
    typical = median(completed)
    pruned = standing.of(TrialState.PRUNED)
    return TimeSpent(total, sum(max(0.0, typical - seconds_of(trial)) for trial in pruned), typical)
