"""Logs of other programs as raw points: CSV, lines of JSON, plain text, and TensorBoard's event files."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maskrcnn_exp.errors import DataError

if TYPE_CHECKING:
    from maskrcnn_exp.record.history import History

__all__ = ["LOG_FILES", "RawLog", "read_events", "read_log_file"]

LOG_FILES: Final = ("metrics.json", "scalars.json", "*.log.json", "metrics.csv", "results.csv", "log.csv", "*.log")
"""Names under which a folder's log is found, the first that is there."""

_STEP: Final = ("iteration", "iter", "step", "global_step", "steps")
_EPOCH: Final = ("epoch", "epochs")
_EPOCH_LINE: Final = re.compile(r"\bepoch\b\W{0,3}(\d+)(?:\s*/\s*\d+)?(?:\]?\[\s*(\d+)/(\d+)\])?", re.IGNORECASE)
_PAIR: Final = re.compile(r"([A-Za-z_][\w./]*)\s*[:=]\s*(-?\d+\.?\d*(?:e[+-]?\d+)?|nan|-?inf)\b", re.IGNORECASE)
_OUR_LINE: Final = re.compile(r"(Validation Loss|Box mAP|Mask mAP): (\S+?)(?: \(AP50: (\S+)\))?(?:\s|$)")
_OUR_NAMES: Final = {"Validation Loss": ("val_loss", ""), "Box mAP": ("bbox_AP", "bbox_AP50")}


@dataclass
class RawLog:
    """Points by the names of the program that wrote them."""

    points: dict[str, dict[int, float]]  # name → step → value
    by_epoch: bool = False  # the steps are epochs


def read_events(history: History) -> RawLog:
    """Return the scalars of a TensorBoard folder."""
    points = {}
    for tag in history.tags:
        series = history.series(tag)
        points[tag] = dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))
    return RawLog(points)


def read_log_file(path: Path) -> RawLog:
    """Return the numbers of a CSV file with a header, of lines of JSON objects, or of a text log.

    Raises:
        DataError: the file cannot be read as text.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}.") from error
    if path.suffix == ".csv":
        return _collect(_csv_rows(text))
    if text.lstrip().startswith("{"):
        return _collect(_json_rows(text))
    return _collect(_text_rows(text))


def _csv_rows(text: str) -> Iterator[dict[str, float]]:
    for row in csv.DictReader(text.splitlines()):
        yield {name.strip(): number for name, value in row.items() if name and (number := _number(value)) is not None}


def _json_rows(text: str) -> Iterator[dict[str, float]]:
    """Yield each line's numbers; a line that is cut off is left out. MMDetection 2 marks validation lines by `mode`."""
    for line in text.splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield {name: number for name, value in content.items() if (number := _number(value)) is not None}


def _text_rows(text: str) -> Iterator[dict[str, float]]:
    """Yield the `name: number` pairs of each line, with the epoch of the last line that named one.

    It reads this project's console blocks, Detectron2's and MMDetection's lines.
    """
    epoch: dict[str, float] = {}
    for line in text.splitlines():
        named = _EPOCH_LINE.search(line)
        if named:
            epoch = {"epoch": float(named[1])}
        row = {name: float(value) for name, value in _PAIR.findall(line)}
        ours = _OUR_LINE.search(line)
        if ours:
            row = _our_row(*ours.groups())
        if named and named[2]:
            row["step"] = (float(named[1]) - 1) * float(named[3]) + float(named[2])
        if row:
            yield {**epoch, **row}


def _our_row(what: str, value: str, ap50: str | None) -> dict[str, float]:
    name, name50 = _OUR_NAMES.get(what, ("segm_AP", "segm_AP50"))
    numbers = {name: _number(value), name50: _number(ap50)}
    return {key: number for key, number in numbers.items() if key and number is not None}


def _number(value: object) -> float | None:
    """Return a number or a text that is one, NaN included; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _collect(rows: Iterable[Mapping[str, float]]) -> RawLog:
    """Put rows on one axis: steps where the rows with most names have them, else epochs, else the row's number."""
    known = list(rows)
    lowered = [{name.lower(): value for name, value in row.items()} for row in known]
    with_step = [next((row[key] for key in _STEP if key in row), math.nan) for row in lowered]
    with_epoch = [next((row[key] for key in _EPOCH if key in row), math.nan) for row in lowered]
    stepped = sum(math.isfinite(step) for step in with_step)
    by_epoch = stepped < max(2, sum(math.isfinite(epoch) for epoch in with_epoch) / 2)
    axis = _steps_of_rows(with_epoch if by_epoch else with_step, with_epoch)
    points: dict[str, dict[int, float]] = defaultdict(dict)
    for row, step in zip(known, axis, strict=True):
        for name, value in row.items():
            if name.lower() not in (*_STEP, *_EPOCH):
                points[name][step] = value
    return RawLog(dict(points), by_epoch=by_epoch)


def _steps_of_rows(wanted: list[float], epochs: list[float]) -> list[int]:
    """Return a step for each row: its own; else that of the row before, as for a line with an evaluation.

    MMDetection's validation lines carry the epoch as step, or start the iterations anew in each epoch: whatever goes
    backwards is put where the row before is.
    """
    steps, highest = [], 0
    restarts = _restarts(wanted, epochs)
    for number, value in enumerate(wanted):
        own = value + restarts[number] if math.isfinite(value) else math.nan
        if math.isfinite(own) and own >= highest:
            highest = int(own)
        elif not math.isfinite(own) and not any(math.isfinite(other) for other in wanted):
            highest = number + 1
        steps.append(highest)
    return steps


def _restarts(wanted: list[float], epochs: list[float]) -> list[float]:
    """Return what to add to a step that counts within its epoch: the highest of the epochs before, summed up."""
    added, offset, highest, epoch = [], 0.0, 0.0, math.nan
    for step, now in zip(wanted, epochs, strict=True):
        began = math.isfinite(now) and math.isfinite(epoch) and now > epoch
        if began and math.isfinite(step) and step < highest:
            offset, highest = offset + highest, 0.0
        if math.isfinite(now):
            epoch = now
        if math.isfinite(step):
            highest = max(highest, step)
        added.append(offset)
    return added
