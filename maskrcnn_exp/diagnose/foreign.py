"""Another program's log as curves: the five losses by whatever names, on windows where it counts steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.facts import RunFacts
from maskrcnn_exp.diagnose.foreign_files import RawLog
from maskrcnn_exp.diagnose.foreign_names import KNOWN_NAMES, tags_of
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record import tags

__all__ = ["curves_of_log"]

Steps = NDArray[np.int64]

_AS_THEY_ARE: Final = 120  # points that need no windows
_WINDOWS: Final = 40
_LEAST_WINDOWS: Final = 6
_PERCENT: Final = 1.5  # an AP above it is in percent
_SHOWN: Final = 40  # names in an error


def curves_of_log(log: RawLog, name: str) -> Curves:
    """Return the curves of a foreign log.

    Losses are means over windows, which end where an evaluation stands if there are enough of those.

    Raises:
        DataError: not all five losses are there; the message lists what is.
    """
    points = _renamed(log)
    missing = [loss for loss in LOSSES if tags.train_loss_tag(loss) not in points]
    if missing:
        raise DataError(_what_is_missing(name, missing, log))
    train_steps = np.array(sorted(points[tags.train_loss_tag("loss_mask")]), dtype=np.int64)
    _align_evaluations(points, int(train_steps[-1]))
    if tags.TRAIN_TOTAL not in points:
        points[tags.TRAIN_TOTAL] = _sum_of_losses(points)
    steps = {"step/total": points[tags.TRAIN_TOTAL]}
    if log.by_epoch or len(train_steps) <= _AS_THEY_ARE:
        epochs = log.by_epoch or bool(np.all(np.diff(train_steps) == 1))
        return Curves.of_points(
            name, _on_steps(points, train_steps), unit="epoch" if epochs else "step", facts=RunFacts()
        )
    windowed = _windowed(points, _window_ends(points, train_steps))
    return Curves.of_points(name, windowed, step_points=steps, unit="step", facts=RunFacts())


def _renamed(log: RawLog) -> dict[str, dict[int, float]]:
    points: dict[str, dict[int, float]] = {}
    for name, by_step in log.points.items():
        for tag in tags_of(name):
            points.setdefault(tag, {}).update(by_step)
    for tag, by_step in points.items():
        known = [value for value in by_step.values() if np.isfinite(value)]
        if tag.startswith("mAP/") and known and max(known) > _PERCENT:
            points[tag] = {step: value / 100 for step, value in by_step.items()}
        if tag.startswith("mAP/"):
            points[tag] = {step: value for step, value in points[tag].items() if value >= 0}  # -1: nothing to find
    return points


def _what_is_missing(name: str, missing: list[str], log: RawLog) -> str:
    wanted = "; ".join(f"{loss} (also {', '.join(KNOWN_NAMES[loss][1:]) or 'no other name'})" for loss in missing)
    found = sorted(log.points)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    listed = ", ".join(found[:_SHOWN]) or "no numbers at all"
    return (
        f"{name}: {len(missing)} of the five losses are not there: {wanted}. Found: {listed}{more}. "
        "A diagnosis needs all five, under torchvision's, Detectron2's or MMDetection's names."
    )


def _align_evaluations(points: dict[str, dict[int, float]], last_step: int) -> None:
    """Stretch evaluations that are counted in epochs over an axis of steps: MMDetection 3 writes them so."""
    evaluated = [tag for tag in points if tag.startswith("mAP/")]
    steps = sorted({step for tag in evaluated for step in points[tag]})
    if len(steps) < 2 or last_step < 3 * steps[-1] or steps[-1] > 3 * len(steps):
        return
    factor = last_step / steps[-1]
    for tag in evaluated:
        points[tag] = {round(step * factor): value for step, value in points[tag].items()}


def _sum_of_losses(points: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    curves = [points[tags.train_loss_tag(loss)] for loss in LOSSES]
    common = set.intersection(*(set(curve) for curve in curves))
    return {step: sum(curve[step] for curve in curves) for step in sorted(common)}


def _on_steps(points: Mapping[str, Mapping[int, float]], steps: Steps) -> dict[str, dict[int, float]]:
    """Move what stands between two training points, as an evaluation may, to the one before it."""
    moved: dict[str, dict[int, float]] = {}
    for tag, by_step in points.items():
        places = np.clip(np.searchsorted(steps, list(by_step), side="right") - 1, 0, None)
        moved[tag] = {int(steps[place]): value for place, value in zip(places, by_step.values(), strict=True)}
    return moved


def _window_ends(points: Mapping[str, Mapping[int, float]], train_steps: Steps) -> Steps:
    evaluated = sorted({step for tag, by_step in points.items() if tag.startswith("mAP/") for step in by_step})
    if _LEAST_WINDOWS <= len(evaluated) <= _AS_THEY_ARE:
        return np.unique([*evaluated, int(train_steps[-1])])
    places = np.linspace(0, len(train_steps), _WINDOWS + 1).astype(np.int64)[1:] - 1
    ends: Steps = train_steps[places]
    return ends


def _windowed(points: Mapping[str, Mapping[int, float]], ends: Steps) -> dict[str, dict[int, float]]:
    """Return the mean of each window, of COCO numbers the last; what is not finite stays so."""
    windows: dict[str, dict[int, float]] = {}
    for tag, by_step in points.items():
        steps = np.array(sorted(by_step), dtype=np.int64)
        values = np.array([by_step[int(step)] for step in steps])
        place = np.minimum(np.searchsorted(ends, steps), len(ends) - 1)
        chosen = {window: values[place == window] for window in np.unique(place)}
        windows[tag] = {
            int(ends[window]): float(inside[-1] if tag.startswith("mAP/") else inside.mean())
            for window, inside in chosen.items()
        }
    return windows
