"""Whether annotated boxes are the extents of their masks, looked at on a few hundred instances when a run starts.

`check-data` looks at all of them and names each; this is what a run can afford, and what its diagnosis rests on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.boxes import box_iou
from maskrcnn_exp.data.target import BoxFit

__all__ = ["LOOKED_AT", "box_fit"]

Floats = npt.NDArray[np.float64]

LOOKED_AT: Final = 400
"""Instances, evenly spread over the data set."""

_OFF_IOU: Final = 0.85  # a box that is rounded to whole pixels has more, but for the smallest objects …
_OFF_PIXELS: Final = 1.5  # … so an edge must be off by more than that
_BESIDE_IOU: Final = 0.5  # a detection on the object would not count at COCO's lowest threshold


def box_fit(pairs: Iterable[tuple[Floats, Floats]]) -> BoxFit | None:
    """Compare boxes.

    Args:
        pairs: Annotated boxes and the extents of their masks, float64 [n, 4] both, x y w h in pixels; of each picture,
            say. Rows with NaN, annotations without a box, are not compared.

    Returns:
        None where there is nothing to compare.
    """
    nothing = np.zeros((0, 4))
    boxes, extents = (np.concatenate(side) for side in zip((nothing, nothing), *pairs, strict=True))
    known = ~np.isnan(boxes).any(axis=1)
    if not known.any():
        return None
    boxes, extents = _corners(boxes[known]), _corners(extents[known])
    iou = box_iou(boxes, extents)
    off = (iou < _OFF_IOU) & (np.abs(boxes - extents).max(axis=1) > _OFF_PIXELS)
    return BoxFit(
        looked_at=len(boxes),
        off=round(float(off.mean()), 4),
        beside=round(float((off & (iou < _BESIDE_IOU)).mean()), 4),
        median_iou=round(float(np.median(iou)), 4),
        median_size=round(float(np.median(_area(extents) / np.maximum(_area(boxes), 1e-9))), 4),
    )


def _corners(xywh: Floats) -> Floats:
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def _area(xyxy: Floats) -> Floats:
    sides = np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None)
    return sides[:, 0] * sides[:, 1]
