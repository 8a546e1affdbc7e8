"""A run as a comparison sees it: its settings, its curves, how it ended, what the diagnosis said first."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.own_record import is_own, latest_crash
from maskrcnn_exp.diagnose.sources import curves_at, runs_under
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.history import EVENT_FILES, History

__all__ = ["CURVES", "MASK_AP", "Point", "Run", "Setting", "read_runs"]

MASK_AP: Final = tags.map_tag("segm", "AP")
CURVES: Final = (
    *(make(loss) for loss in LOSSES for make in (tags.train_loss_tag, tags.val_loss_tag)),
    tags.TRAIN_TOTAL,
    tags.VAL_TOTAL,
    *(tags.map_tag(kind, metric) for kind in ("segm", "bbox") for metric in ("AP", "AP50")),
    "time/step_s",
    "time/epoch_s",
    "memory/peak_gib",
)
"""What is compared of each run."""

_OF_THE_RUN: Final = frozenset({"run_dir", "resume", "replay"})
"""Settings that say where a run lies, not how it trains."""

Setting = str | int | float | bool | None
Point = tuple[int, float]
"""Epoch and value."""


@dataclass(frozen=True)
class Run:
    """One training. Curves hold the epochs with a known value only."""

    name: str
    folder: Path
    settings: Mapping[str, Setting] = field(default_factory=dict)  # dotted key → value; empty for a foreign log
    overrides: tuple[str, ...] = ()  # as typed
    curves: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    crash: str = ""  # cause of a step that was not finite and ended the run
    verdict: str = ""  # what the diagnosis said first, above info

    @property
    def seed(self) -> Setting:
        return self.settings.get("seed")

    @property
    def epochs(self) -> int:
        """How many were trained."""
        return max((points[-1][0] for points in self.curves.values() if points), default=0)

    @property
    def state(self) -> str:
        """Empty for a run that ended as planned, else what became of it."""
        if self.crash:
            return f"diverged in epoch {self.epochs + 1}: {self.crash}"
        planned = self.settings.get("trainer.epochs")
        if isinstance(planned, int) and self.epochs < planned:
            return f"{self.epochs} of {planned} epochs"
        return ""

    def last(self, tag: str) -> float:
        """Return the last known value; NaN without one."""
        points = self.curves.get(tag, ())
        return points[-1][1] if points else math.nan

    def best(self, tag: str) -> Point | None:
        """Return epoch and value of the best, the earliest of equal ones; of times, losses and memory the least."""
        points = self.curves.get(tag, ())
        if not points:
            return None
        return min(points, key=lambda point: point[1] if tags.falls(tag) else -point[1])

    @cached_property
    def seconds(self) -> float:
        """Of all epochs together; NaN where it was not recorded."""
        taken = [value for _, value in self.curves.get("time/epoch_s", ())]
        return math.fsum(taken) if taken else math.nan

    @cached_property
    def step_seconds(self) -> float:
        """Median over the epochs of the mean step; NaN where it was not recorded."""
        taken = [value for _, value in self.curves.get("time/step_s", ())]
        return float(np.median(taken)) if taken else math.nan


def read_runs(paths: Sequence[Path], extra_tags: Sequence[str] = ()) -> tuple[list[Run], list[str]]:
    """Read every run that the paths name, each once, in their order.

    Args:
        paths: Run folders, study folders for their trials, or logs of other programs.
        extra_tags: Further tags to read.

    Returns:
        The runs, and a sentence for each folder of a study that has no readable record yet.

    Raises:
        DataError: a path names nothing, or no run is left.
    """
    found: dict[Path, bool] = {}  # whether it was named itself, and not found below a folder
    for path in paths:
        for folder in runs_under(path):
            found.setdefault(folder, folder == path)
    names = _names(list(found))
    runs, skipped = [], []
    for folder, name in zip(found, names, strict=True):
        try:
            runs.append(_read(folder, name, (*CURVES, *extra_tags)))
        except DataError as error:
            if found[folder]:
                raise
            skipped.append(str(error))
    if not runs:
        raise DataError("\n".join(skipped))
    return runs, skipped


def _read(folder: Path, name: str, wanted: Sequence[str]) -> Run:
    if folder.is_dir() and any(folder.glob(EVENT_FILES)):
        history = History.read(folder, wanted)
        if is_own(history):
            return _own(history, name, wanted)
    curves = curves_at(folder)
    return Run(name, folder, curves={tag: _known(curves, tag) for tag in wanted})


def _own(history: History, name: str, wanted: Sequence[str]) -> Run:
    curves = {}
    for tag in wanted:
        series = history.series(tag)
        pairs = zip(series.steps.tolist(), series.values.tolist(), strict=True)
        curves[tag] = tuple((epoch, value) for epoch, value in pairs if math.isfinite(value) and value != -1)
    epochs = max((points[-1][0] for points in curves.values() if points), default=0)
    crash = latest_crash(history.folder, epochs)
    typed = _yaml(history.folder / ".hydra/overrides.yaml")
    return Run(
        name,
        history.folder,
        settings=_flat(_yaml(history.folder / ".hydra/config.yaml")),
        overrides=tuple(map(str, typed)) if isinstance(typed, list) else (),
        curves=curves,
        crash="" if crash is None else crash.cause,
        verdict=_first_verdict(history.folder / "verdicts.json"),
    )


def _known(curves: Curves, tag: str) -> tuple[Point, ...]:
    pairs = zip(curves.at.tolist(), curves[tag].tolist(), strict=True)
    return tuple((epoch, value) for epoch, value in pairs if math.isfinite(value))


def _yaml(path: Path) -> Any:
    """Return the content of a YAML file; None where it is absent or none."""
    try:
        return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _flat(tree: Any) -> dict[str, Setting]:
    return {key: value for key, value in _leaves(tree, "") if key not in _OF_THE_RUN} if isinstance(tree, dict) else {}


def _leaves(tree: Any, prefix: str) -> Iterator[tuple[str, Setting]]:
    if isinstance(tree, dict):
        for key, branch in tree.items():
            yield from _leaves(branch, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, list):
        yield prefix, f"[{','.join(map(str, tree))}]"
    else:
        yield prefix, tree if isinstance(tree, str | int | float | bool | None) else str(tree)


def _first_verdict(path: Path) -> str:
    """Return what the run's own diagnosis put first, unless it is only a remark."""
    try:
        verdicts = json.loads(path.read_text())["verdicts"]
        first = next(iter(verdicts), None)
        return "" if first is None or first["severity"] == "info" else str(first["brief"] or first["rule"])
    except (OSError, ValueError, KeyError, TypeError):  # absent, half written, or of another version
        return ""


def _names(folders: Sequence[Path]) -> list[str]:
    """Return each path without what all of them begin with."""
    if len(folders) == 1:
        return [folders[0].name or str(folders[0])]
    absolute = [os.path.abspath(folder) for folder in folders]
    try:
        shared = os.path.commonpath([os.path.dirname(folder) for folder in absolute])
    except ValueError:  # two drives
        return absolute
    return [os.path.relpath(folder, shared) for folder in absolute]
