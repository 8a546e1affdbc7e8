"""A verdict's evidence as a picture, for a report. Imports matplotlib, so only a report imports it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.verdict import Evidence, Verdict
from maskrcnn_exp.record.figures import GREY, ORANGE, RED, new_figure, save

__all__ = ["evidence_figure", "save_picture"]

_PANELS: Final = 6
_INCHES: Final = (2.6, 1.7)  # of a panel
_COLUMNS: Final = 3
_WIDE: Final = 20.0  # ratio of largest to smallest value from which an axis is logarithmic
_COLOUR: Final = {"info": GREY, "warning": ORANGE, "severe": RED}


def save_picture(verdict: Verdict, curves: Curves, path: Path) -> bool:
    """Write a PNG of `evidence_figure`; say whether there was any.

    Args:
        path: Its folder must exist.
    """
    figure = evidence_figure(verdict, curves)
    if figure is not None:
        save(figure, path)
    return figure is not None


def evidence_figure(verdict: Verdict, curves: Curves) -> Figure | None:
    """Draw a panel for each quantity that was recorded over time; None where there is none."""
    shown = [one for one in verdict.evidence if sum(map(math.isfinite, one.values)) > 1][:_PANELS]
    if not shown:
        return None
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(columns * _INCHES[0], rows * _INCHES[1])
    for place, evidence in enumerate(shown, start=1):
        _panel(figure.add_subplot(rows, columns, place), evidence, verdict, curves)
    return figure


def _panel(axes: Axes, evidence: Evidence, verdict: Verdict, curves: Curves) -> None:
    values = np.array(evidence.values)
    by_epoch = len(values) == len(curves)
    at = curves.at if by_epoch else np.arange(1, len(values) + 1)
    axes.plot(at, values, color=_COLOUR[verdict.severity], marker="." if len(values) < 40 else None, linewidth=1.2)
    known = values[np.isfinite(values)]
    if known.min() > 0 and known.max() > _WIDE * known.min() and not evidence.tag.startswith("mAP/"):
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    if by_epoch:
        axes.axvline(verdict.since, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_title(evidence.name, fontsize=8)
    axes.tick_params(labelsize=7)
