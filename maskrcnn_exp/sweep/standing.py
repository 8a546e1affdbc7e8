"""Where a study stands, read from its storage once: who leads, what finished, why the others did not."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.sweep.attrs import FIXED, METRIC, SPACE
from maskrcnn_exp.sweep.trial_text import reason_of

__all__ = ["ReasonCount", "Standing"]

FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_RETURNED: Final = "value"  # what the metric is called where the training's returned value is optimised
_NUMBER: Final = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w])")


@dataclass(frozen=True)
class ReasonCount:
    """Trials that ended early for one kind of reason: reasons that differ in numbers only are one kind."""

    state: str  # pruned or failed
    example: str  # the reason of the first of them
    differ: bool  # in numbers
    trials: tuple[int, ...]  # numbers


@dataclass(frozen=True)
class Standing:
    """A study at one moment. Build it with `read`."""

    name: str
    folder: Path
    metrics: tuple[str, ...]  # one per direction
    maximize: tuple[bool, ...]  # one per objective
    trials: tuple[FrozenTrial, ...]  # in order of their numbers
    space: Mapping[str, BaseDistribution]
    fixed: tuple[str, ...]  # words that every trial shares

    @classmethod
    def read(cls, study: optuna.Study, folder: Path) -> Standing:
        """Ask the storage for all trials and attributes, once each.

        Args:
            study: Of any origin; attributes that this project did not write may be absent.
            folder: The study's folder.
        """
        attributes = study.user_attrs
        trials = study.get_trials(deepcopy=False)
        maximize = tuple(direction is StudyDirection.MAXIMIZE for direction in study.directions)
        return cls(
            name=study.study_name,
            folder=folder,
            metrics=_metric_names(attributes.get(METRIC, []), study.metric_names, len(maximize)),
            maximize=maximize,
            trials=tuple(sorted(trials, key=lambda trial: trial.number)),
            space=_space(attributes.get(SPACE, {}), trials),
            fixed=tuple(attributes.get(FIXED, [])),
        )

    @property
    def is_single(self) -> bool:
        return len(self.maximize) == 1

    def of(self, *states: TrialState) -> list[FrozenTrial]:
        return [trial for trial in self.trials if trial.state in states]

    @property
    def finished(self) -> list[FrozenTrial]:
        """Complete, pruned and failed ones."""
        return self.of(*FINISHED)

    @property
    def ranked(self) -> list[FrozenTrial]:
        """Complete trials with finite values, the best by the first objective first, the earlier of equal ones.

        A trial that ended at infinity has completed, but nobody wants its setting.
        """
        usable = [trial for trial in self.of(TrialState.COMPLETE) if all(map(math.isfinite, trial.values))]
        sign = -1 if self.maximize[0] else 1
        return sorted(usable, key=lambda trial: (sign * trial.values[0], trial.number))

    @property
    def best(self) -> FrozenTrial | None:
        """The leader of a study with one objective; None where nothing completed, or with several objectives."""
        return next(iter(self.ranked), None) if self.is_single else None

    @property
    def pareto(self) -> list[FrozenTrial]:
        """Trials that no other one beats in one objective without losing in another, in order of their numbers."""
        front: list[tuple[list[float], FrozenTrial]] = []
        for trial in self.ranked:
            costs = [-value if up else value for value, up in zip(trial.values, self.maximize, strict=True)]
            if any(_dominates(other, costs) for other, _ in front):
                continue
            front = [(other, holder) for other, holder in front if not _dominates(costs, other)]
            front.append((costs, trial))
        return sorted((trial for _, trial in front), key=lambda trial: trial.number)

    @property
    def leaders(self) -> list[FrozenTrial]:
        """The best trial, or the Pareto front; empty where nothing completed."""
        if not self.is_single:
            return self.pareto
        return [] if self.best is None else [self.best]

    def counts(self) -> dict[str, int]:
        """Number of trials by state, with `finished` and `all`."""
        by_state = Counter(trial.state for trial in self.trials)
        names = {
            "completed": TrialState.COMPLETE,
            "pruned": TrialState.PRUNED,
            "failed": TrialState.FAIL,
            "running": TrialState.RUNNING,
            "waiting": TrialState.WAITING,
        }
        counts = {name: by_state[state] for name, state in names.items()}
        return {"finished": len(self.finished), **counts, "all": len(self.trials)}

    def reasons(self) -> list[ReasonCount]:
        """Why trials were pruned or failed, the most frequent kind first."""
        groups: dict[tuple[str, str], list[FrozenTrial]] = {}
        for trial in self.of(TrialState.PRUNED, TrialState.FAIL):
            state = "pruned" if trial.state is TrialState.PRUNED else "failed"
            groups.setdefault((state, _NUMBER.sub("#", reason_of(trial))), []).append(trial)
        rows = [
            ReasonCount(
                state,
                example=reason_of(trials[0]),
                differ=len({reason_of(trial) for trial in trials}) > 1,
                trials=tuple(trial.number for trial in trials),
            )
            for (state, _), trials in groups.items()
        ]
        return sorted(rows, key=lambda row: (-len(row.trials), row.trials))


def _dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    pairs = list(zip(first, second, strict=True))
    return all(one <= other for one, other in pairs) and any(one < other for one, other in pairs)


def _metric_names(ours: Sequence[str], optunas: Sequence[str] | None, objectives: int) -> tuple[str, ...]:
    for names in (ours, optunas or ()):
        if len(names) == objectives:
            return tuple(names)
    return (_RETURNED,) if objectives == 1 else tuple(f"{_RETURNED} {index}" for index in range(objectives))


def _space(stored: Mapping[str, str], trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Parameters that were announced, then those that only trials have, as from a custom search space."""
    space = {name: json_to_distribution(text) for name, text in stored.items()}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            space.setdefault(name, distribution)
    return space
