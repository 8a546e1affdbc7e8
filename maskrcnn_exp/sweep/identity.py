"""What makes two commands the same study: its name, its folder, and the refusal to mix two searches in one study."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.override_keys import bare_key
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.objective import parse_metric
from maskrcnn_exp.sweep.space import SearchSpace

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["check_identity", "default_name", "differences_of", "study_folder"]

_MAY_DIFFER: Final = frozenset({"trainer.num_workers", "trainer.log_every_steps", "trainer.preview_pictures"})
"""Words that change how a trial is run and not what it finds."""


def default_name(space: SearchSpace) -> str:
    """Name a study by what it searches, so that the same command finds it again."""
    keys = "_".join(re.sub(r"[^\w.]", "", key) for key in space.distributions)[:48] or "custom"
    fixed = [word for word in space.fixed if bare_key(word) not in _MAY_DIFFER]
    content = "\n".join([*sorted(_space_json(space).items()).__repr__().splitlines(), *sorted(fixed)])
    return f"{keys}-{hashlib.sha256(content.encode()).hexdigest()[:6]}"


def study_folder(config: Any, study_name: str) -> Path:
    """Return the study's folder: `hydra.sweep.dir`, where a time in its last name gives way to the study's name.

    A folder that is new every minute could not be resumed by the same command. What stands before the first time may
    hold other interpolations.
    """
    from omegaconf import OmegaConf, open_dict, read_write

    raw = str(OmegaConf.to_container(config.hydra.sweep, resolve=False)["dir"])  # type: ignore[index, call-overload]
    if "${now:" not in raw:
        return Path(str(config.hydra.sweep.dir)).absolute()
    cut = config.copy()
    with read_write(cut.hydra), open_dict(cut.hydra):
        cut.hydra.sweep.dir = raw[: raw.index("${now:")]
    above, slash, _ = str(cut.hydra.sweep.dir).rpartition("/")
    return (Path(f"{above}{slash}" or "multirun") / _folder_name(study_name)).absolute()


def _folder_name(study_name: str) -> str:
    """Return one name, of a folder below: no path, not the folder itself, not the one above."""
    name = re.sub(r"[/\\]", "_", study_name)
    return name if name.strip(".") else "_" * max(1, len(name))


def check_identity(study: Study, space: SearchSpace, metric: Sequence[str], folder: Path) -> None:
    """Write down what the study searches, or refuse where it searched something else before.

    Raises:
        ConfigError: the study has trials of another space, other fixed words or another metric.
    """
    differences = differences_of(study, space, metric)
    if differences:
        lines = "\n".join(f"   {line}" for line in differences)
        raise ConfigError(
            f"study {study.study_name} in {folder} is another search:\n{lines}\n"
            "Type the command as it was to go on with it, or give hydra.sweeper.study_name=… a new name."
        )
    for key, value in _now(space, metric).items():
        if study.user_attrs.get(key) != value:
            study.set_user_attr(key, value)


def differences_of(study: Study, space: SearchSpace, metric: Sequence[str]) -> list[str]:
    """Return a line for each thing that the study searched otherwise; none for a study without any such notes."""
    now = _now(space, metric)
    before = {key: study.user_attrs.get(key) for key in now}
    return _differences(before, now) if any(value is not None for value in before.values()) else []


def _now(space: SearchSpace, metric: Sequence[str]) -> dict[str, Any]:
    names = [str(parse_metric(text)) for text in metric]
    return {attrs.SPACE: _space_json(space), attrs.FIXED: list(space.fixed), attrs.METRIC: names}


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
        {bare_key(word): word for word in words or ()} for words in (before[attrs.FIXED], now[attrs.FIXED])
    )
    for key in sorted((old_words.keys() | new_words.keys()) - _MAY_DIFFER):
        old, new = old_words.get(key, f"no {key}"), new_words.get(key, f"no {key}")
        if old != new:
            lines.append(f"was {old}, now {new}")
    if [str(parse_metric(text)) for text in before[attrs.METRIC] or ()] != now[attrs.METRIC]:
        lines.append(f"metric: was {before[attrs.METRIC]}, now {now[attrs.METRIC]}")
    return lines
