"""A search space in code: a parameter that exists only where another one is large."""

from __future__ import annotations

from typing import Any

__all__ = ["conditional", "finite"]


def conditional(config: Any, trial: Any) -> None:
    """Search clip.norm only where the mask head's multiplier is above 1."""
    if trial.suggest_float("lr.mask_mult", 0.1, 10, log=True) > 1:
        trial.suggest_float("clip.norm", 1, config.highest_norm)


def finite(config: Any, trial: Any) -> None:
    """Three points: 1, and 2 with 3 or 4."""
    if trial.suggest_categorical("lr.mask_mult", (1, 2)) == 2:
        trial.suggest_int("clip.norm", 3, 4)


def broken(config: Any, trial: Any) -> None:
    """What a mistake in the user's function looks like."""
    raise KeyError("lr.mask_mlut")
