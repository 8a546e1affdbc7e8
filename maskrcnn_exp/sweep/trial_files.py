"""The checkpoints of trials that lost: a study of thousands is terabytes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from maskrcnn_exp.sweep.standing import Standing

__all__ = ["drop_checkpoints"]

_LOOK_BEHIND: Final = 32
"""Trials behind the best that are looked at: as many workers may have pushed one each out of the best at once."""


def drop_checkpoints(standing: Standing, ended: int, keep: int) -> None:
    """Remove the checkpoints of the trial that ended, or of the one that it pushed out of the best.

    With several objectives, the best are those that no other beats, however many.

    Args:
        standing: The study after the trial's end.
        ended: Number of the trial.
        keep: How many of the best keep theirs.
    """
    ranked = [trial.number for trial in standing.ranked]
    best = ranked[:keep] if standing.is_single else [trial.number for trial in standing.pareto]
    for number in (ended, *ranked[keep : keep + _LOOK_BEHIND]):
        if number not in best:
            for path in (standing.folder / str(number) / "checkpoints").glob("*.pt"):
                path.unlink(missing_ok=True)
