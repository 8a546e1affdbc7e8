"""A study's trials in words: numbers, parameters, reasons, and the command that trains one again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep.attrs import FOLDER, OVERRIDES, REASON, SECONDS

__all__ = [
    "distribution_text",
    "number_text",
    "one_line",
    "params_text",
    "reason_of",
    "run_folder",
    "seconds_of",
    "train_command",
    "value_text",
]

_LONGEST_REASON: Final = 160  # characters; a traceback's tail belongs into the trial's own log
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")


def reason_of(trial: FrozenTrial) -> str:
    """Return why a trial was pruned or failed, in one line without control characters."""
    text = one_line(str(trial.user_attrs.get(REASON, "")))
    return text or ("by the pruner" if trial.state is TrialState.PRUNED else "no reason was recorded")


def one_line(text: str) -> str:
    joined = " ".join(_CONTROL.sub(" ", text).split())
    return joined if len(joined) <= _LONGEST_REASON else f"{joined[: _LONGEST_REASON - 1]}…"


def seconds_of(trial: FrozenTrial) -> float:
    """Return the time spent on a trial in seconds: by its workers' count, else by its start and end; 0 unknown."""
    counted = trial.user_attrs.get(SECONDS)
    if counted is not None:
        return float(counted)
    return trial.duration.total_seconds() if trial.duration is not None else 0.0


def run_folder(trial: FrozenTrial, folder: Path) -> Path:
    """Return where the trial's run lies; by its number where nothing was noted, or a place outside of the study's."""
    noted = Path(str(trial.user_attrs.get(FOLDER, trial.number)))
    inside = not noted.is_absolute() and ".." not in noted.parts
    return folder / (noted if inside else str(trial.number))


def train_command(trial: FrozenTrial, command: str, fixed: Sequence[str] = ()) -> str:
    """Return the command line that trains this trial again, quoted for a POSIX shell.

    Args:
        trial: One without recorded words, as from another program, gets them from its parameters.
        command: Prefix, such as `python -m maskrcnn_exp train`. Taken as it is.
        fixed: Words that all trials of its study share, for such a trial.
    """
    words = trial.user_attrs.get(OVERRIDES)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        words = [*fixed, *(f"{name}={_hydra_text(value)}" for name, value in trial.params.items())]
    return " ".join([command, shlex.join(words)]).strip()


def _hydra_text(value: object) -> str:
    from maskrcnn_exp.sweep.words import value_text as hydra_text  # brings Hydra's grammar, rarely needed

    try:
        return hydra_text(value)
    except ConfigError:  # another program's choice, such as a class: shown, though Hydra could not read it
        return str(value)


def _plain_word(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def number_text(value: object) -> str:
    """Write a parameter for people: numbers with four significant digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return _plain_word(value)


def params_text(params: Mapping[str, object]) -> str:
    return " ".join(f"{name}={number_text(value)}" for name, value in params.items())


def value_text(value: float | None) -> str:
    """Write an objective: four decimals below ten, else five digits."""
    if value is None:
        return "none"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 10 or value == 0 else f"{value:.5g}"


def distribution_text(distribution: BaseDistribution) -> str:
    """Describe a distribution for people, such as `0.1 to 30, log`."""
    if isinstance(distribution, CategoricalDistribution):
        return "one of " + ", ".join(_plain_word(choice) for choice in distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)  # Optuna has no others
    words = [f"{distribution.low:g} to {distribution.high:g}"]
    if isinstance(distribution, IntDistribution):
        words.append("whole numbers")
    if distribution.log:
        words.append("log")
    if distribution.step not in (None, 1) or (distribution.step == 1 and isinstance(distribution, FloatDistribution)):
        words.append(f"step {distribution.step:g}")
    return ", ".join(words)
