"""A run's numbers as one CSV file, one number a line, for spreadsheets and pandas.

    step,tag,value
    1,loss/train_total,3.0821
    10,step/loss_mask,0.6931

`step` counts epochs, and optimiser steps for tags under step/. In pandas, a table with a column per tag is
`read_csv("metrics.csv").pivot(index="step", columns="tag", values="value")`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.atomic import write_text_atomic
from maskrcnn_exp.record.history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CSV_FILE", "CsvSink"]

CSV_FILE: Final = "metrics.csv"


class CsvSink:
    """Appends to `metrics.csv`, which begins as what the run's record holds, so that a resume doubles nothing."""

    def __init__(self, folder: Path) -> None:
        """Write what the record in `folder` holds so far, in place of an earlier file."""
        self._folder = folder
        self.rewind()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        with (self._folder / CSV_FILE).open("a", encoding="utf-8", newline="") as file:
            file.write(_lines((step, tag, value) for tag, value in values.items()))

    def text(self, tag: str, markdown: str, step: int) -> None:
        """A file of numbers has no place for it."""

    def image(self, tag: str, picture: bytes | NDArray[np.uint8], step: int) -> None:
        """A file of numbers has no place for it."""

    def rewind(self) -> None:
        """Write the file anew from the record."""
        write_text_atomic(self._folder / CSV_FILE, "step,tag,value\n" + _lines(_recorded(self._folder)))

    def close(self, *, failed: bool) -> None:
        """Every line is on its way to the disk already."""


def _recorded(folder: Path) -> Iterator[tuple[int, str, float]]:
    try:
        history = History.read(folder)
    except DataError:  # nothing is recorded yet
        return
    for tag in history.tags:
        series = history.series(tag)
        for step, value in zip(series.steps, series.values, strict=True):
            yield int(step), tag, float(value)


def _lines(rows: Iterable[tuple[int, str, float]]) -> str:
    text = io.StringIO()
    # Seven digits: the record keeps float32, and a number reads the same whether it came from there or not.
    csv.writer(text, lineterminator="\n").writerows((step, tag, f"{value:.7g}") for step, tag, value in rows)
    return text.getvalue()
