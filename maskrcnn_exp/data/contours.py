"""A mask's outline as polygons, for files that know nothing else."""

from __future__ import annotations

from typing import Final, cast

import numpy as np
from contourpy import LineType, contour_generator
from numpy.typing import NDArray

__all__ = ["polygons_of"]

_LEAST_AREA: Final = 1.0  # pixels; smaller parts are a pixel's corner
_SLACK: Final = 0.5  # pixels that a simplified outline may leave the exact one


def polygons_of(mask: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Return the outer outline of each part of a mask, the largest first: float64 [corners, 2], x and y in pixels.

    Pixel (0, 0) covers 0 … 1, so that an outline drawn by COCO's tools gives the mask back. Holes are left out: the
    formats that take polygons have none.

    Args:
        mask: [h, w], 0 or 1.
    """
    padded = np.pad(mask.astype(np.float32), 1)
    found = contour_generator(z=padded, line_type=LineType.Separate).lines(0.5)
    lines = cast("list[NDArray[np.float64]]", found)  # what this type of lines is
    # A corner of the padded grid is a pixel's centre: one pixel too far right and down, and half a pixel too far left.
    outlines = [_simplified(line[:-1] - 0.5) for line in lines if _signed_area(line) > 0]
    kept = [
        np.clip(one, 0, (mask.shape[1], mask.shape[0])) for one in outlines if abs(_signed_area(one)) >= _LEAST_AREA
    ]
    return sorted(kept, key=lambda one: -abs(_signed_area(one)))


def _signed_area(points: NDArray[np.float64]) -> float:
    """Positive for outer outlines: contourpy walks with the higher values on its left."""
    x, y = points[:, 0], points[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _simplified(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out corners by Douglas and Peucker's rule (1973), between the two corners that are farthest apart."""
    if len(points) < 8:
        return points
    start = int(np.argmin(points.sum(axis=1)))
    ring = np.roll(points, -start, axis=0)
    far = int(np.argmax(((ring - ring[0]) ** 2).sum(axis=1)))
    keep = np.zeros(len(ring) + 1, dtype=bool)
    keep[[0, far, len(ring)]] = True
    closed = np.concatenate([ring, ring[:1]])
    open_parts = [(0, far), (far, len(ring))]
    while open_parts:
        first, last = open_parts.pop()
        if last - first < 2:
            continue
        distances = _distances(closed[first + 1 : last], closed[first], closed[last])
        worst = int(np.argmax(distances))
        if distances[worst] > _SLACK:
            middle = first + 1 + worst
            keep[middle] = True
            open_parts += [(first, middle), (middle, last)]
    return closed[:-1][keep[:-1]]


def _distances(points: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each point from the line through a and b; from a where they are one."""
    along = b - a
    length = float(np.hypot(*along))
    off = points - a
    if length == 0:
        return np.hypot(off[:, 0], off[:, 1])
    crossed: NDArray[np.float64] = np.abs(along[0] * off[:, 1] - along[1] * off[:, 0]) / length
    return crossed
