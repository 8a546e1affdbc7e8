"""The shapes of a labelme file as outlines of COCO.

labelme's own conversion is the model (labelme/utils/shape.py, examples/instance_segmentation/labelme2coco.py): shapes
of one label and `group_id` are parts of one object; a `mask` is a picture of the pixels from its first corner to its
second, both included; a circle is its centre and a point on it, drawn with an error of less than a pixel.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.coco_pictures import MOST_PIXELS
from maskrcnn_exp.data.formats.mask_outline import outline_of_mask
from maskrcnn_exp.data.pictures import DAMAGED, known_formats
from maskrcnn_exp.data.rle import Unusable, mask_of_counts

__all__ = ["outline_of_shapes"]

_FAR: Final = 100_000.0  # pixels; beyond it drawing takes memory without end
_CORNERS: Final = {"rectangle": (2, 4), "oriented_rectangle": (4, 4), "circle": (2, 2), "mask": (2, 2)}
"""Least and most points of a kind of shape."""

Outline = list[list[float]] | dict[str, Any] | Unusable
Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def outline_of_shapes(shapes: Sequence[dict[str, Any]], size: tuple[int, int]) -> Outline:
    """Return the outline of one object: polygons, an RLE where a part is a mask, or why there is none.

    Args:
        shapes: Its parts, one or more.
        size: Height and width of the picture; 0 where unknown.
    """
    try:
        kinds = [shape.get("shape_type") or "polygon" for shape in shapes]
        points = [_points(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)]
        polygons = [_polygon(own, kind) for own, kind in zip(points, kinds, strict=True) if kind != "mask"]
        if "mask" not in kinds:
            return [polygon.ravel().tolist() for polygon in polygons]
        if not 0 < size[0] * size[1] <= MOST_PIXELS:
            raise Unusable("mask of a picture of unknown size")
        union = _drawn(polygons, size)
        for shape, kind, own in zip(shapes, kinds, points, strict=True):
            if kind == "mask":
                _add_mask(union, shape.get("mask"), own)
        return outline_of_mask(union)
    except Unusable as reason:
        return reason


def _points(shape: dict[str, Any], kind: str) -> Points:
    """float64 [corners, 2], x and y in pixels"""
    try:
        points = np.array(shape.get("points"), dtype=np.float64)
    except (TypeError, ValueError):
        raise Unusable("shape with something else than points") from None
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) < _FAR).all():
        raise Unusable("shape with something else than points")
    least, most = _CORNERS.get(kind, (3, math.inf))
    if kind in ("polygon", *_CORNERS) and not least <= len(points) <= most:
        raise Unusable(f"{kind} with {len(points)} points")
    return points


def _polygon(points: Points, kind: str) -> Points:
    """float64 [corners, 2]"""
    if kind in ("polygon", "oriented_rectangle") or (kind == "rectangle" and len(points) == 4):
        return points
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    if kind == "circle":
        return _circle(points[0], float(np.hypot(*(points[1] - points[0]))))
    raise Unusable(f"shape of the kind {kind!s:.40}, which has no area")


def _circle(centre: Points, radius: float) -> Points:
    corners = max(12, math.ceil(math.pi / math.acos(1 - min(1.0, 0.5 / max(radius, 0.5)))))
    angles = np.arange(corners) * (2 * math.pi / corners)
    return np.asarray(centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def _drawn(polygons: Sequence[Points], size: tuple[int, int]) -> Mask:
    """bool [h, w]"""
    mask = np.zeros(size, dtype=bool)
    for polygon in polygons:
        (rle,) = coco_mask.frPyObjects([polygon.ravel().tolist()], *size)
        mask |= mask_of_counts(rle["counts"], *size) > 0
    return mask


def _add_mask(union: Mask, encoded: object, corners: Points) -> None:
    """Add the pixels of a mask; those outside the picture are cut off."""
    (left, top), (right, bottom) = corners.astype(np.int64).tolist()
    pixels = _decoded(encoded, (right - left + 1, bottom - top + 1))
    rows, columns = slice(max(top, 0), max(bottom + 1, 0)), slice(max(left, 0), max(right + 1, 0))
    target = union[rows, columns]
    from_top, from_left = max(-top, 0), max(-left, 0)
    target |= pixels[from_top : from_top + target.shape[0], from_left : from_left + target.shape[1]]


def _decoded(encoded: object, size: tuple[int, int]) -> Mask:
    """bool [height, width]; `size` is (width, height)."""
    if not isinstance(encoded, str):
        raise Unusable("mask without pixels")
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded)), formats=known_formats()) as picture:
            if picture.size != size:
                raise Unusable("mask of another size than its corners")
            return np.array(picture.convert("L")) > 0
    except DAMAGED:  # binascii.Error is a ValueError
        raise Unusable("mask that does not decode") from None
