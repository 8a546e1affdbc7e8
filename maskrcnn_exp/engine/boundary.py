"""Boundary AP: mask AP in which a large object's outline counts as much as a small one's.

Mask IoU is ruled by the inside of a mask, so that a coarse outline costs a large object next to nothing. Boundary IoU
compares only the pixels near the outline; COCO's matching then takes the smaller one of both IoUs.

`faster_coco_eval` has it too, at 20 ms for a mask of 640 × 480 pixels. Here a mask's boundary is found inside its box,
and only where its mask IoU reaches the least threshold: any other pair matches at none, whatever its boundary.

Source: Cheng et al. 2021, "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation"; the width of the
boundary and its rounding as in the authors' boundary_iou_api.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pycocotools import mask as rle_codec

from maskrcnn_exp.data.rle import draw_runs, runs_of_counts
from maskrcnn_exp.engine.greedy_matching import Overlaps, ap_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Boundary", "BoundaryAp", "boundary_ap", "boundary_iou", "find_boundary"]

_DILATION: Final = 0.02  # width of the boundary as a share of the picture's diagonal, the paper's for COCO
_THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
_IOU_75: Final = 5  # index among them


@dataclass(frozen=True)
class BoundaryAp:
    """Average precision under boundary IoU, each 0..1, or -1 where there is no object."""

    AP: float
    AP50: float
    AP75: float


@dataclass(frozen=True, eq=False)
class Boundary:
    """The pixels of one mask that lie near its outline, cut out of the picture."""

    top: int
    left: int
    pixels: NDArray[np.bool_]  # [rows, columns]


def find_boundary(rle: dict[str, Any], dilation: float = _DILATION) -> Boundary:
    """Return the pixels of a mask that are less than d away from its outside, in either direction or diagonally.

    d = max(1, round(dilation · diagonal of the picture)); what lies beyond the picture's edge is outside.
    """
    height, width = rle["size"]
    reach = max(1, round(dilation * math.hypot(height, width)))
    left, top, wide, high = (int(side) for side in rle_codec.toBbox(rle))
    picture = np.zeros((height, width), dtype=np.uint8)
    draw_runs(runs_of_counts(rle["counts"]), picture)
    mask = picture[top : top + high, left : left + wide].astype(np.bool_)
    padded = np.pad(mask, reach)
    # A pixel is inside where the square of 2 · reach + 1 pixels around it is all mask: first by rows, then by columns.
    inside = _all_of(_all_of(padded, 2 * reach + 1).T, 2 * reach + 1).T
    return Boundary(top, left, mask & ~inside)


def _all_of(mask: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Return whether each `length` neighbours in a row are all set: [rows, columns - length + 1]."""
    sums = np.zeros((mask.shape[0], mask.shape[1] + 1), dtype=np.int32)
    np.cumsum(mask, axis=1, out=sums[:, 1:])
    all_set: NDArray[np.bool_] = sums[:, length:] - sums[:, :-length] == length
    return all_set


def boundary_iou(one: Boundary, other: Boundary) -> float:
    """Return the overlap of two boundaries in one picture, 0..1; 0 where both are empty."""
    top, left = max(one.top, other.top), max(one.left, other.left)
    bottom = min(item.top + item.pixels.shape[0] for item in (one, other))
    right = min(item.left + item.pixels.shape[1] for item in (one, other))
    shared = 0
    if bottom > top and right > left:
        cuts = [
            item.pixels[top - item.top : bottom - item.top, left - item.left : right - item.left]
            for item in (one, other)
        ]
        shared = int(np.count_nonzero(cuts[0] & cuts[1]))
    union = int(np.count_nonzero(one.pixels)) + int(np.count_nonzero(other.pixels)) - shared
    return shared / union if union else 0.0


def boundary_ap(pictures: Sequence[Overlaps], dilation: float = _DILATION) -> BoundaryAp:
    """Return boundary AP, AP50 and AP75.

    Args:
        pictures: Overlaps of masks.
        dilation: Width of the boundary as a share of the picture's diagonal.

    Crowd regions keep their mask IoU, as in the authors' code.
    """
    pictures = [replace(item, ious=_with_boundaries(item, dilation)) for item in pictures]
    by_threshold = [ap_at(pictures, float(threshold)) for threshold in _THRESHOLDS]
    return BoundaryAp(float(np.mean(by_threshold)), by_threshold[0], by_threshold[_IOU_75])


def _with_boundaries(picture: Overlaps, dilation: float) -> NDArray[np.float64]:
    """Return the smaller one of mask IoU and boundary IoU, [k, n]; 0 where no threshold can be reached."""
    ious = np.zeros_like(picture.ious)
    mine: dict[int, Boundary] = {}
    theirs: dict[int, Boundary] = {}
    for row, column in np.argwhere(picture.same_class & (picture.ious >= _THRESHOLDS[0])).tolist():
        if row not in mine:
            mine[row] = find_boundary(picture.found.rles[row], dilation)
        if column not in theirs:
            theirs[column] = find_boundary(picture.object_rles[column], dilation)
        ious[row, column] = min(picture.ious[row, column], boundary_iou(mine[row], theirs[column]))
    return ious
