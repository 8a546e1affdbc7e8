"""What makes two commands the same study: its name, its folder, and the refusal to mix two searches in one study."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.space import SearchSpace

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["check_identity", "default_name", "study_folder"]

_MAY_DIFFER: Final = frozenset({"trainer.num_workers", "trainer.log_every_steps"})
"""Words that change how a trial is run and not what it finds."""


def default_name(space: SearchSpace) -> str:
    """Name a study by what it searches, so that the same command finds it again."""
    keys = "_".join(re.sub(r"[^\w.]", "", key) for key in space.distributions)[:48] or "custom"
    content = "\n".join([*sorted(_space_json(space).items()).__repr__().splitlines(), *sorted(space.fixed)])
    return f"{keys}-{hashlib.sha256(content.encode()).hexdigest()[:6]}"


def study_folder(config: Any, study_name: str) -> Path:
    """Return the study's folder: `hydra.sweep.dir`, where a time in its last name gives way to the study's name.

    A folder that is new every minute could not be resumed by the same command.
    """
    from omegaconf import OmegaConf

    raw = str(OmegaConf.to_container(config.hydra.sweep, resolve=False)["dir"])  # type: ignore[index, call-overload]
    if "${now:" not in raw:
        return Path(str(config.hydra.sweep.dir)).absolute()
    above = raw[: raw.index("${now:")].rpartition("/")[0]
    return (Path(above or "multirun") / study_name.replace("/", "_")).absolute()


def check_identity(study: Study, space: SearchSpace, metric: Sequence[str], folder: Path) -> None:
    """Write down what the study searches, or refuse where it searched something else before.

    Raises:
        ConfigError: the study has trials of another space, other fixed words or another metric.
    """
    now = {attrs.SPACE: _space_json(space), attrs.FIXED: list(space.fixed), attrs.METRIC: list(metric)}
    before = {key: study.user_attrs.get(key) for key in now}
    if any(before[key] is not None for key in now):
        differences = _differences(before, now)
        if differences:
            lines = "\n".join(f"   {line}" for line in differences)
            raise ConfigError(
                f"study {study.study_name} in {folder} is another search:\n{lines}\n"
                "Type the command as it was to go on with it, or give hydra.sweeper.study_name=… a new name."
            )
    for key, value in now.items():
        if before[key] != value:
            study.set_user_attr(key, value)


def _space_json(space: SearchSpace) -> dict[str, str]:
    from optuna.distributions import distribution_to_json

    return {key: distribution_to_json(distribution) for key, distribution in space.distributions.items()}


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    lines = []
    old_space, new_space = before[attrs.SPACE] or {}, now[attrs.SPACE]
    for key in sorted(old_space.keys() | new_space.keys()):
        old, new = old_space.get(key, "not searched"), new_space.get(key, "not searched")
        if old != new:
            lines.append(f"{key}: was {old}, now {new}")
    old_words, new_words = (
        {word.partition("=")[0]: word for word in words or ()} for words in (before[attrs.FIXED], now[attrs.FIXED])
    )
    for key in sorted((old_words.keys() | new_words.keys()) - _MAY_DIFFER):
        old, new = old_words.get(key, f"no {key}"), new_words.get(key, f"no {key}")
        if old != new:
            lines.append(f"was {old}, now {new}")
    if list(before[attrs.METRIC] or ()) != list(now[attrs.METRIC]):
        lines.append(f"metric: was {before[attrs.METRIC]}, now {now[attrs.METRIC]}")
    return lines
