"""A run of this project, from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from maskrcnn_exp.diagnose.curves import Crash, Curves
from maskrcnn_exp.diagnose.facts import RunFacts
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.history import History

if TYPE_CHECKING:
    from maskrcnn_exp.diagnose.curves import Points

__all__ = ["STEP_TAGS_READ", "curves_of", "facts_of", "is_own", "latest_crash", "points_of"]

_EPOCH: Final = frozenset((*tags.EPOCH_TAGS, *tags.EXTRA_TAGS))
STEP_TAGS_READ: Final = frozenset(
    (tags.step_tag("total"), *(tags.step_tag(tags.grad_norm_tag(part)) for part in PARTS))
)
"""What the rules look at between two epochs: spikes, and norms for a limit."""


def is_own(history: History) -> bool:
    """Say whether a record has the five training losses under this project's tags, or is of a run that ended before.

    A run that diverges in its first epoch has only points of steps.
    """
    by_epoch = (tag for tag in history.tags if not tag.startswith("step/"))
    begun = (history.folder / "environment.json").is_file() and not any("loss" in tag for tag in by_epoch)
    return begun or {tags.train_loss_tag(loss) for loss in LOSSES} <= set(history.tags)


def curves_of(history: History, name: str) -> Curves:
    """Return the curves of a run whose record was read, with what its folder says beside the record."""
    by_epoch, by_step = points_of(history)
    last = max((epoch for points in by_epoch.values() for epoch in points), default=0)
    crash = latest_crash(history.folder, last)
    return Curves.of_points(name, by_epoch, step_points=by_step, facts=facts_of(history.folder), crash=crash)


def points_of(history: History) -> tuple[Points, Points]:
    """Part a record into tag → epoch → value and tag → step → value."""
    by_epoch: dict[str, dict[int, float]] = {}
    by_step: dict[str, dict[int, float]] = {}
    for tag in history.tags:
        where = by_epoch if tag in _EPOCH else by_step if tag in STEP_TAGS_READ else None
        if where is not None:
            series = history.series(tag)
            where[tag] = dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))
    return by_epoch, by_step


def facts_of(folder: Path) -> RunFacts:
    """Return what the folder's configuration says; nothing where there is none."""
    config = folder / ".hydra/config.yaml"
    if not config.is_file():
        return RunFacts()
    typed = folder / ".hydra/overrides.yaml"
    words = yaml.safe_load(typed.read_text()) if typed.is_file() else []
    environment = _json(folder / "environment.json")
    classes, data = environment.get("classes"), environment.get("data")
    return RunFacts.of_config(
        config.read_text(),
        [str(word) for word in words or []],
        classes if isinstance(classes, int) else None,
        data if isinstance(data, dict) else None,
    )


def latest_crash(folder: Path, last_epoch: int) -> Crash | None:
    """Return the newest black box of an epoch that the run did not get over; None where it got over all."""
    found = sorted(folder.glob("black_box/step_*/report.json"))
    if not found:
        return None
    report = _json(found[-1])
    if not report or int(report["epoch"]) <= last_epoch:
        return None
    return Crash(
        folder=found[-1].parent,
        step=int(report["step"]),
        epoch=int(report["epoch"]),
        cause=str(report["cause"]),
        image_ids=tuple(picture["image_id"] for picture in report["pictures"]),
        steps=tuple(report["steps"]),
    )


def _json(path: Path) -> Mapping[str, Any]:
    """Return a JSON object; an empty one where the file is absent or no JSON, such as half of one."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
