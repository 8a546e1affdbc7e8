"""The checkpoints of trials that lost: a study of thousands is terabytes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["drop_checkpoints"]

_LOOK_BEHIND: Final = 32
"""Trials behind the best that are looked at: as many workers may have pushed one each out of the best at once."""


def drop_checkpoints(folder: Path, study: Study, trials: Sequence[FrozenTrial], ended: int, keep: int) -> None:
    """Remove the checkpoints of the trial that ended, or of the one that it pushed out of the best.

    With several objectives, the best are those that no other beats in all of them, however many.

    Args:
        folder: The study's.
        study: What knows its directions.
        trials: All its trials.
        ended: Number of the trial that ended.
        keep: How many of the best keep theirs.
    """
    ranked = _ranked(study, trials)
    best = set(ranked[:keep]) if len(study.directions) == 1 else set(ranked)
    lost = [ended, *ranked[keep : keep + _LOOK_BEHIND]]
    for number in lost:
        if number not in best:
            for path in (folder / str(number) / "checkpoints").glob("*.pt"):
                path.unlink(missing_ok=True)


def _ranked(study: Study, trials: Sequence[FrozenTrial]) -> list[int]:
    """Return the numbers of the completed trials, the best first; with several objectives those on the front."""
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    if len(study.directions) > 1:
        return [trial.number for trial in study.best_trials]
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    done = [t for t in trials if t.state == TrialState.COMPLETE and t.value is not None]
    return [trial.number for trial in sorted(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))]
