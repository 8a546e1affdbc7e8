"""Tables and summaries as plain aligned text: the same in a terminal, a file and a CI log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from maskrcnn_exp.data.target import DatasetSummary
from maskrcnn_exp.record.tags import COCO_METRICS

__all__ = ["CocoNumbers", "GroupRow", "aligned", "duration", "groups_table", "metrics_table", "number", "summary_lines"]

_SHOWN_IDS: Final = 5  # of pictures left out, per reason
_GAP: Final = "  "


class CocoNumbers(Protocol):
    """What an evaluation gives: `engine.coco_ap.CocoResult`, which this layer does not import."""

    @property
    def bbox(self) -> Mapping[str, float]: ...
    @property
    def segm(self) -> Mapping[str, float]: ...
    @property
    def max_dets(self) -> int: ...
    @property
    def standard_bbox(self) -> Mapping[str, float]: ...
    @property
    def standard_segm(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class GroupRow:
    """One parameter group, as a user wants to see it before training starts."""

    name: str
    tensors: int
    parameters: int
    lr: float  # effective: base times multiplier
    weight_decay: float
    clip: float | None  # limit of the gradient norm; None: not clipped, inf: only logged


def number(value: float, digits: int = 4) -> str:
    """Write a COCO number; `n/a` for -1, which means that there was nothing to find."""
    return "n/a" if value == -1 else f"{value:.{digits}f}"


def groups_table(rows: Sequence[GroupRow]) -> str:
    """Lay out the parameter groups, one per line, with a line of totals."""
    header = ("group", "tensors", "parameters", "lr", "weight decay", "clip")
    cells = [
        (row.name, str(row.tensors), f"{row.parameters:,}", f"{row.lr:g}", f"{row.weight_decay:g}", _clip(row.clip))
        for row in rows
    ]
    total = ("total", str(sum(row.tensors for row in rows)), f"{sum(row.parameters for row in rows):,}", "", "", "")
    return aligned([header, *cells, total])


def metrics_table(result: CocoNumbers) -> str:
    """Lay out the twelve numbers of boxes and masks side by side.

    Where more than 100 detections per picture counted, two more columns show COCO's own limit of 100.
    """
    columns = [("bbox", result.bbox), ("segm", result.segm)]
    if result.max_dets != 100:
        columns = [(f"{name}@{result.max_dets}", values) for name, values in columns]
        columns += [("bbox@100", result.standard_bbox), ("segm@100", result.standard_segm)]
    header = ("", *(name for name, _ in columns))
    rows = [(metric, *(number(values[metric]) for _, values in columns)) for metric in COCO_METRICS]
    return aligned([header, *rows])


def summary_lines(summary: DatasetSummary, name: str) -> list[str]:
    """Say what was found in a dataset, what was left out and why, and what was decided for the user."""
    lines = [
        f"{name}: {summary.images} pictures ({summary.negatives} without an instance), "
        f"{summary.instances} instances, at most {summary.max_objects} in one picture, "
        f"{summary.crowd} crowd regions"
    ]
    for reason, ids in summary.left_out.items():
        shown = ", ".join(ids[:_SHOWN_IDS])
        more = f" … and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
        lines.append(f"   left out {len(ids)}: {reason}: {shown}{more}")
    lines += [f"   {note}" for note in summary.notes]
    return lines


def _clip(limit: float | None) -> str:
    if limit is None:
        return "none"
    return "log only" if math.isinf(limit) else f"{limit:g}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """First column to the left, the others to the right, no blanks at line ends."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (
        _GAP.join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def duration(seconds: float) -> str:
    """Write a time in the unit that a person would take."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
