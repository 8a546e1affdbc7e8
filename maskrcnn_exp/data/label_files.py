"""Detections as label files of other tools: YOLO's polygons, labelme's JSON.

YOLO: https://docs.ultralytics.com/datasets/segment — one line per object, class number from 0 and corners as shares of
width and height. labelme: its label_file.py writes `shapes` with pixels; parts of one object share a `group_id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outlined", "labelme", "yolo_lines"]

_LABELME_VERSION: Final = "5.5.0"


@dataclass(frozen=True, eq=False)
class Outlined:
    """One detection, outlined."""

    label: int  # 1 … number of classes
    score: float  # 0..1
    parts: Sequence[NDArray[np.float64]]  # [corners, 2] each, x and y in pixels, the largest first; may be none


def yolo_lines(objects: Sequence[Outlined], width: int, height: int) -> list[str]:
    """Return a line for each object; of an object in several parts the largest, for a line holds one polygon."""
    lines = []
    for one in objects:
        if one.parts:
            shares = one.parts[0] / (width, height)
            lines.append(" ".join([str(one.label - 1), *(f"{value:.6g}" for value in shares.ravel())]))
    return lines


def labelme(objects: Sequence[Outlined], names: Sequence[str], picture: str, width: int, height: int) -> dict[str, Any]:
    """Return the content of labelme's file.

    Args:
        names: Of the classes; the first is that of label 1.
        picture: Path of the picture, as labelme is to find it from the file.
    """
    shapes: list[dict[str, Any]] = [
        {
            "label": names[one.label - 1],
            "points": [[round(float(x), 2), round(float(y), 2)] for x, y in part],
            "group_id": number if len(one.parts) > 1 else None,
            "description": f"score {one.score:.3f}",
            "shape_type": "polygon",
            "flags": {},
        }
        for number, one in enumerate(objects, start=1)
        for part in one.parts
    ]
    return {
        "version": _LABELME_VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": picture,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
