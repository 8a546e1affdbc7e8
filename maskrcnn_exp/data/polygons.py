"""Polygons as pycocotools draws them, without drawing more than needed.

pycocotools first rounds coordinates to a grid of a fifth of a pixel. Kept on that grid as int32 they take half the
memory and still give the same mask to the last pixel.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.ground_truth import Rle

__all__ = ["MAX_COORDINATE", "draw_parts", "per_part", "short_outlines", "surely_drawn", "to_grid"]

Grid = npt.NDArray[np.int32]

MAX_COORDINATE: Final = 1e6
"""Pixels. Beyond it pycocotools' 32-bit numbers come near their end."""

_MAX_OUTLINE: Final = 1e7  # grid steps; pycocotools takes 16 bytes for each, unasked
_SCALE: Final = 5  # rleFrPoly in pycocotools' maskApi.c
_MIDDLE: Final = 2  # column c is sampled between the grid places 5c + 2 and 5c + 3
_SURE_GAP: Final = 2 * _SCALE  # rounding on the way moves a crossing by less than half a pixel


def to_grid(coordinates: npt.NDArray[np.float64]) -> Grid:
    """Round as pycocotools does, towards zero after adding a half."""
    scaled = coordinates * _SCALE
    scaled += 0.5
    return scaled.astype(np.int32)


def draw_parts(parts: list[Grid], height: int, width: int) -> list[Rle]:
    """Draw each polygon part (x y x y … on the grid, at least 3 points) by itself, clipped to the picture."""
    if not parts:
        return []
    # A quarter beyond the grid place, away from zero after rounding: pycocotools then finds that very place again.
    pixels = [(part + np.where(part < 0, -0.75, 0.25)) / _SCALE for part in parts]
    rles: list[Rle] = coco_mask.frPyObjects(pixels, height, width)
    return rles


def short_outlines(grid: Grid, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell which parts are not too long to be drawn: bool [p].

    Args:
        grid: x y x y … of all parts behind one another.
        offsets: int64 [p + 1], where in `grid` each part begins; every part has a point.
    """
    longest_step = 2 * max(-int(grid.min(initial=0)), int(grid.max(initial=0)))
    if longest_step * np.diff(offsets // 2).max(initial=0) <= _MAX_OUTLINE:  # a look at every point is slow
        return np.ones(len(offsets) - 1, dtype=bool)
    points = grid.reshape(-1, 2).astype(np.float64)  # [m, 2]
    steps = np.abs(points[_next_points(offsets // 2)] - points).max(axis=1)  # [m]
    return per_part(np.add, steps, offsets // 2) <= _MAX_OUTLINE


def surely_drawn(
    grid: Grid, offsets: npt.NDArray[np.int64], heights: npt.NDArray[np.int64], widths: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Tell for which parts a look at one column proves that at least one pixel is drawn: bool [p].

    The column is the middle one of the part that lies in the picture. Where the outline crosses it exactly twice,
    two pixels apart or more, the pixels between are drawn, whatever else the outline does. False is no verdict:
    such a part has to be drawn to know. Arguments as in `short_outlines`; heights and widths int64 [p], pixels.
    """
    parts, x, y = len(offsets) - 1, grid[0::2].astype(np.float64), grid[1::2].astype(np.float64)
    middles = (per_part(np.minimum, x, offsets // 2) + per_part(np.maximum, x, offsets // 2)) / 2
    columns = np.clip((middles - _MIDDLE) // _SCALE, 0, widths - 1)
    part_of = np.repeat(np.arange(parts), np.diff(offsets) // 2)  # [m]
    following = _next_points(offsets // 2)
    left_of = x <= (columns * _SCALE + _MIDDLE)[part_of]
    crossing = np.flatnonzero(left_of != left_of[following])  # edges
    after, part = following[crossing], part_of[crossing]
    share = (columns[part] * _SCALE + _MIDDLE + 0.5 - x[crossing]) / (x[after] - x[crossing])
    at = np.clip(y[crossing] + share * (y[after] - y[crossing]), 0, heights[part] * _SCALE)
    lowest, highest = np.full(parts, np.inf), np.full(parts, -np.inf)
    np.minimum.at(lowest, part, at)
    np.maximum.at(highest, part, at)
    twice = np.bincount(part, minlength=parts) == 2
    sure: npt.NDArray[np.bool_] = twice & (highest - lowest >= _SURE_GAP)
    return sure


def per_part(
    function: np.ufunc, values: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Reduce the values of each part with `function`; float64 [p]. `starts` int64 [p + 1], no part is empty."""
    if len(values) == 0:
        return np.empty(0)
    reduced: npt.NDArray[np.float64] = function.reduceat(values, starts[:-1])
    return reduced


def _next_points(point_offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The point after each one, the first again after the last: int64 [m]."""
    following = np.arange(1, point_offsets[-1] + 1)
    following[point_offsets[1:] - 1] = point_offsets[:-1]
    return following
