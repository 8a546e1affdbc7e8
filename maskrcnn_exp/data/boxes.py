"""Boxes against boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["box_iou"]

Floats = npt.NDArray[np.float64]


def box_iou(first: Floats, second: Floats) -> Floats:
    """Intersection over union of boxes x1 y1 x2 y2, pair by pair: float64 [n]. 0 where either is empty or nan."""
    corner = np.maximum(first[:, :2], second[:, :2])
    sides = np.clip(np.minimum(first[:, 2:], second[:, 2:]) - corner, 0, None)
    inside = sides.prod(axis=1)
    union = (first[:, 2:] - first[:, :2]).prod(axis=1) + (second[:, 2:] - second[:, :2]).prod(axis=1) - inside
    result: Floats = np.divide(inside, union, out=np.zeros(len(first)), where=union > 0)
    return result
