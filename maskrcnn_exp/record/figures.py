"""What all pictures of reports share: colours, a figure, its axes, and the file. Imports matplotlib when drawing only.

Colours are Okabe and Ito's, which colour-blind people tell apart.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import Image

from maskrcnn_exp.record.atomic import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "PALETTE", "RED", "grid", "new_figure", "plain", "save", "whole_ticks"]

BLUE, ORANGE, RED, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#666666"
PALETTE: Final = (BLUE, RED, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000", "#8A6D00")
_DPI: Final = 110
_COLOURS: Final = 200  # of a picture: eight, and their shades where an edge is smooth or a band lies over a line


def new_figure(width: float, height: float) -> Figure:
    """Without pyplot: no global state, no window, usable beside a running training."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG atomically, with a palette: a third of the bytes. Its folder must exist."""
    rendered = io.BytesIO()
    figure.savefig(rendered, format="png", dpi=_DPI)
    with Image.open(rendered) as picture:
        small = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)

    def write(file: BinaryIO) -> None:
        small.save(file, format="PNG", optimize=True)

    write_atomic(path, write)


def grid(axes: Axes) -> None:
    axes.grid(visible=True, color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def whole_ticks(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def plain(text: str) -> str:
    """Keep a dollar sign from being read as mathematics."""
    return text.replace("$", r"\$")
