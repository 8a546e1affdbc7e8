"""Boxes that fit their masks once the picture is turned: EXIF was applied to one of the two only."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.outlines import Outlines
from maskrcnn_exp.data.boxes import box_iou

__all__ = ["find_turns"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_FITS: Final = 0.7  # IoU after the turn
_SHARE: Final = 0.5  # of a picture's boxes that lie beside their masks must fit by the same turn


def find_turns(beside: Ints, images: Ints, boxes: Floats, outlines: Outlines) -> npt.NDArray[np.bool_]:
    """Tell which boxes are turned against their masks: bool [annotations].

    Both are taken in shares of the picture's sides, since tools scale a turned picture's boxes in one way or the other.

    Args:
        beside: Annotations whose box lies elsewhere than the mask.
        images: int64 [annotations], the picture of each.
        boxes: float64 [annotations, 4], x1 y1 x2 y2, annotated.
        outlines: The masks.
    """
    turned = np.zeros(len(images), dtype=bool)
    pictures, own = np.unique(images[beside], return_inverse=True)  # own: the picture of each of `beside`
    width, height = outlines.sizes[beside, 1:], outlines.sizes[beside, :1]  # [beside, 1]
    masks = outlines.boxes[beside] / np.concatenate([width, height, width, height], axis=1)
    fits = []
    for sides in ((width, height), (height, width)):
        shares = boxes[beside] / np.concatenate([*sides, *sides], axis=1)
        fits += [box_iou(_turn(shares, turn), masks) >= _FITS for turn in range(1, 8)]
    by_picture = np.array([np.bincount(own, weights=fit, minlength=len(pictures)) for fit in fits])  # [14, pictures]
    best = by_picture.argmax(axis=0)
    enough = by_picture.max(axis=0, initial=0) >= _SHARE * np.bincount(own, minlength=len(pictures))
    turned[beside] = np.array(fits)[best[own], np.arange(len(own))] & enough[own]
    return turned


def _turn(boxes: Floats, turn: int) -> Floats:
    """Boxes x1 y1 x2 y2 in 0 … 1: bit 1 mirrors x, bit 2 mirrors y, bit 4 swaps the axes behind that."""
    x1, y1, x2, y2 = boxes.T
    if turn & 1:
        x1, x2 = 1 - x2, 1 - x1
    if turn & 2:
        y1, y2 = 1 - y2, 1 - y1
    return np.stack([y1, x1, y2, x2] if turn & 4 else [x1, y1, x2, y2], axis=1)
