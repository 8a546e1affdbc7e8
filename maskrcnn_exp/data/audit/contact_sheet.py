"""A PNG of the worst findings: outlines in red, annotated boxes in yellow, each under its check and id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from maskrcnn_exp.data.audit.findings import Finding, by_severity
from maskrcnn_exp.data.audit.sizes import SIZE_CHECKS
from maskrcnn_exp.data.drawing import edge, latin
from maskrcnn_exp.record.atomic import write_atomic

__all__ = ["Drawn", "Shown", "choose_tiles", "write_contact_sheet"]

_MOST_TILES: Final = 24
_COLUMNS: Final = 6
_SIDE: Final = 240  # pixels of a tile's picture
_CAPTION: Final = 28
_MARGIN: Final = 0.5  # of the object's larger side, shown around it
_OUTLINE: Final = (255, 40, 40)
_BOX: Final = (255, 220, 0)
_NOTHING_THERE: Final = (70, 70, 70)


@dataclass(frozen=True)
class Drawn:
    """What a tile shows."""

    size: tuple[int, int]  # width and height of the picture
    pixels: npt.NDArray[np.uint8] | None  # [h, w, 3]; None where the picture is not at hand
    mask: npt.NDArray[np.uint8] | None  # [h, w], 0 or 1; None for none
    box: tuple[float, float, float, float] | None  # x1 y1 x2 y2, annotated
    whole: bool = False  # show all of the picture, not only what is around the object


Shown = Callable[[Finding, int], Drawn | None]
"""Gives what to show for one number of a finding; None for nothing."""


def choose_tiles(findings: Sequence[Finding], most: int = _MOST_TILES) -> list[tuple[Finding, int]]:
    """Return (finding, position in its ids): errors and warnings in turn, one of each before a second of any.

    Notes are no reason to look, and what only the model makes too small comes last.
    """
    tiles: list[tuple[Finding, int]] = []
    for about_the_model in (False, True):
        ranked = [
            finding
            for finding in by_severity(findings)
            if finding.severity != "note" and finding.numbers and (finding.check in SIZE_CHECKS) == about_the_model
        ]
        longest = max((len(finding.numbers) for finding in ranked), default=0)
        tiles += [
            (finding, turn)
            for turn in range(min(longest, most))
            for finding in ranked
            if turn < len(finding.numbers) and finding.of in ("annotation", "picture")
        ]
    return tiles[:most]


def write_contact_sheet(path: Path, findings: Sequence[Finding], shown: Shown) -> int:
    """Write the PNG and return how many tiles it has; no file where there is nothing to show."""
    tiles = []
    for finding, position in choose_tiles(findings):
        drawn = shown(finding, finding.numbers[position])
        if drawn is not None:
            tiles.append(
                _tile(drawn, f"{finding.severity} {finding.check}", f"{finding.split} {finding.ids[position]}")
            )
    if not tiles:
        return 0
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * _SIDE, rows * (_SIDE + _CAPTION)), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * _SIDE, number // columns * (_SIDE + _CAPTION)))
    write_atomic(path, lambda file: sheet.save(file, "PNG"))
    return len(tiles)


def _tile(drawn: Drawn, *captions: str) -> Image.Image:
    left, top, right, bottom = _window(drawn)
    scale = min(_SIDE / (right - left), _SIDE / (bottom - top))
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    picture = Image.new("RGB", size, _NOTHING_THERE)
    if drawn.pixels is not None:
        picture = Image.fromarray(drawn.pixels[top:bottom, left:right]).resize(size, Image.Resampling.BILINEAR)
    if drawn.mask is not None:
        part = Image.fromarray(drawn.mask[top:bottom, left:right] * np.uint8(255))
        mask = np.asarray(part.resize(size, Image.Resampling.BILINEAR)) > 127
        picture = Image.fromarray(np.where(edge(mask)[:, :, None], np.array(_OUTLINE, np.uint8), np.asarray(picture)))
    pen = ImageDraw.Draw(picture)
    if drawn.box is not None and np.isfinite(drawn.box).all():
        x1, y1, x2, y2 = drawn.box
        corners = [(x1 - left) * scale, (y1 - top) * scale, (x2 - left) * scale - 1, (y2 - top) * scale - 1]
        pen.rectangle(
            [min(corners[0], corners[2]), min(corners[1], corners[3]), max(corners[::2]), max(corners[1::2])],
            outline=_BOX,
        )
    tile = Image.new("RGB", (_SIDE, _SIDE + _CAPTION), "white")
    tile.paste(picture, ((_SIDE - size[0]) // 2, _CAPTION + (_SIDE - size[1]) // 2))
    for line, caption in enumerate(captions):
        ImageDraw.Draw(tile).text((3, 2 + 12 * line), latin(caption)[:38], fill="black")
    return tile


def _window(drawn: Drawn) -> tuple[int, int, int, int]:
    """left, top, right, bottom of what is shown; never empty."""
    width, height = drawn.size
    boxes = []
    if drawn.mask is not None and drawn.mask.any():
        rows, columns = np.flatnonzero(drawn.mask.any(axis=1)), np.flatnonzero(drawn.mask.any(axis=0))
        boxes.append((float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)))
    if drawn.box is not None and np.isfinite(drawn.box).all():
        boxes.append(drawn.box)
    if drawn.whole or not boxes:
        return 0, 0, width, height
    lows, highs = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
    margin = _MARGIN * max(float((highs - lows).max()), 16.0)
    left, top = (int(value) for value in np.clip(lows - margin, 0, [width - 1, height - 1]))
    right, bottom = (int(value) for value in np.ceil(np.clip(highs + margin, [left + 1, top + 1], [width, height])))
    return left, top, right, bottom
