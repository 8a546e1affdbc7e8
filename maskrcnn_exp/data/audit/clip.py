"""Polygons cut at the edge of their picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pycocotools import mask as coco_mask

__all__ = ["clip_polygon", "ordered_outline"]

_SAME: Final = 0.98  # IoU of the masks before and after; COCO's grid of a fifth of a pixel moves an edge now and then


def clip_polygon(polygon: Sequence[float], width: float, height: float) -> list[float]:
    """Return the part of a polygon x y x y … within 0 … width and 0 … height; empty where there is none.

    Pieces that fall apart stay joined along the edge, which draws the same mask.

    Source: Sutherland and Hodgman 1974, "Reentrant polygon clipping".
    """
    points = list(zip(polygon[0::2], polygon[1::2], strict=True))
    for axis, limit, sign in ((0, 0.0, 1.0), (0, width, -1.0), (1, 0.0, 1.0), (1, height, -1.0)):
        points = _clip_side(points, axis, limit, sign)
    return [value for point in points for value in point]


def ordered_outline(outline: Any, height: int, width: int) -> Any:
    """Return polygons as COCO wants them: a list of parts with 3 points or more, cut at the edge.

    What cannot be cut without changing its mask stays as it is. Anything but a list is returned unchanged.
    """
    if not isinstance(outline, list) or not outline:
        return outline
    parts = outline if isinstance(outline[0], list) else [outline]
    parts = [part for part in parts if len(part) >= 6 and len(part) % 2 == 0]
    if not (height and width):
        return parts
    return [_clipped(part, height, width) for part in parts]


def _clipped(part: list[float], height: int, width: int) -> list[float]:
    if min(part) >= 0 and max(part[0::2]) <= width and max(part[1::2]) <= height:
        return part
    clipped = [round(value, 2) for value in clip_polygon(part, width, height)]
    if len(clipped) < 6:
        return part
    before, after = coco_mask.frPyObjects([part, clipped], height, width)
    same = coco_mask.area(before) == 0 or coco_mask.iou([after], [before], [0])[0, 0] >= _SAME
    return clipped if same else part


def _clip_side(points: list[tuple[float, float]], axis: int, limit: float, sign: float) -> list[tuple[float, float]]:
    kept: list[tuple[float, float]] = []
    for previous, point in zip([*points[-1:], *points[:-1]], points, strict=True):
        inside, was_inside = sign * (point[axis] - limit) >= 0, sign * (previous[axis] - limit) >= 0
        if inside != was_inside:
            share = (limit - previous[axis]) / (point[axis] - previous[axis])
            crossing = [a + share * (b - a) for a, b in zip(previous, point, strict=True)]
            crossing[axis] = limit
            kept.append((crossing[0], crossing[1]))
        if inside:
            kept.append(point)
    return kept
