"""One line of the table of measurements, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Row", "not_measured", "table"]

_HEAD = "| what | measured | target | ratio | spread | note |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """A measurement beside what it must reach; every field is shown as it is."""

    what: str
    figure: str  # the measured value with its unit
    target: str = ""
    ratio: float | None = None  # how many times faster, or smaller, than the reference
    spread: str = ""  # of the ratio or of the figure, with what it is: "2.9 to 3.3, quartiles of 24 pairs"
    note: str = ""


def not_measured(what: str, target: str, reason: str) -> Row:
    """Return the row of something that this machine cannot measure."""
    return Row(what, f"not measured: {reason}", target)


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table."""
    return "\n".join([_HEAD, *map(_line, rows)])


def _line(row: Row) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} ×"
    return f"| {' | '.join((row.what, row.figure, row.target, ratio, row.spread, row.note))} |"
