"""Curves of all groups over each other: a picture per loss, one of the totals, one per AP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from maskrcnn_exp.compare.groups import Comparison, Group
from maskrcnn_exp.compare.runs import MASK_AP
from maskrcnn_exp.compare.seed_stats import spread_of
from maskrcnn_exp.compare.words import label
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.figures import GREY, PALETTE, grid, new_figure, plain, save, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["PICTURES", "figure_of", "save_pictures"]

PICTURES: Final[dict[str, tuple[str, ...]]] = {
    **{loss: (tags.train_loss_tag(loss), tags.val_loss_tag(loss)) for loss in LOSSES},
    "total": (tags.TRAIN_TOTAL, tags.VAL_TOTAL),
    "mask_AP": (MASK_AP,),
    "box_AP": (tags.map_tag("bbox", "AP"),),
}
"""Name of a picture → tags in it, the solid one first."""

_STYLES: Final = ("-", "--")
_WIDE: Final = 4.0  # ratio of largest to smallest value from which an axis is logarithmic


def save_pictures(comparison: Comparison, folder: Path) -> list[Path]:
    """Write a PNG for each of PICTURES with a curve in it; return their paths. The folder is made where absent."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, shown in PICTURES.items():
        if any(len(run.curves.get(tag, ())) for group in comparison.groups for run in group.runs for tag in shown):
            paths.append(folder / f"{name}.png")
            save(figure_of(comparison, name), paths[-1])
    return paths


def figure_of(comparison: Comparison, name: str) -> Figure:
    """Draw one of PICTURES. The best groups have colours, the others are grey; a band is ± one sd between seeds."""
    figure = new_figure(9.0, 4.8)
    axes = figure.add_subplot()
    coloured = list(zip(comparison.groups, PALETTE, strict=False))
    for group in comparison.groups[len(coloured) :]:
        _draw(axes, group, PICTURES[name], GREY, "")
    for group, colour in reversed(coloured):
        _draw(axes, group, PICTURES[name], colour, plain(label(group)))
    _dress(axes, name, len(PICTURES[name]) > 1)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _draw(axes: Axes, group: Group, shown: tuple[str, ...], colour: str, name: str) -> None:
    faint = 1.0 if name else 0.35
    for tag, style in zip(shown, _STYLES, strict=False):
        told = name if tag == shown[0] else ""
        for at, mean, spread in _bands(group, tag):
            marker = "." if len(at) == 1 else None
            axes.plot(at, mean, style, color=colour, alpha=faint, lw=1.4, label=told or None, marker=marker)
            if np.isfinite(spread).any():
                axes.fill_between(at, mean - spread, mean + spread, color=colour, alpha=0.15 * faint, lw=0)


def _bands(group: Group, tag: str) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
    """Yield epochs, mean and standard deviation over the runs (NaN where one run has the epoch), if there are any."""
    by_epoch: dict[int, list[float]] = {}
    for run in group.runs:
        for epoch, value in run.curves.get(tag, ()):
            by_epoch.setdefault(epoch, []).append(value)
    if by_epoch:
        at = np.array(sorted(by_epoch), dtype=np.int64)
        mean = np.array([np.mean(by_epoch[int(epoch)]) for epoch in at])
        yield at, mean, np.array([spread_of(by_epoch[int(epoch)]) for epoch in at])


def _dress(axes: Axes, name: str, both: bool) -> None:
    grid(axes)
    whole_ticks(axes)
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines] or [np.ones(1)])
    if values.min() > 0 and values.max() > _WIDE * values.min() and not name.endswith("_AP"):
        axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_title(f"{name}: training solid, validation dashed" if both else name.replace("_", " "), fontsize=10)
