"""The `area` and `bbox` that COCO counts with: those of the file, or measured where no mask has such ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from maskrcnn_exp.data.coco_columns import Annotations

__all__ = ["with_sound_measures"]

_LARGEST_AREA: Final = 1e10  # pixels; pycocotools evaluates no object beyond it


def with_sound_measures(annotations: Annotations) -> Annotations:
    """Return the annotations with nan for each area and box that would change the AP in silence, noted as odd.

    Negative, infinite and huge areas make an object count in no size class, boxes without an extent overlap nothing.
    """
    areas, boxes = annotations.areas.copy(), annotations.boxes_xywh.copy()
    odd_areas = ~np.isnan(areas) & ~((areas >= 0) & (areas <= _LARGEST_AREA))
    sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    odd_boxes = np.logical_and(~np.isnan(boxes).all(axis=1), ~sound)
    areas[odd_areas] = np.nan
    boxes[~sound] = np.nan
    return replace(
        annotations,
        areas=areas,
        boxes_xywh=boxes,
        odd_areas=[*annotations.odd_areas, *_ids(annotations, odd_areas)],
        odd_boxes=[*annotations.odd_boxes, *_ids(annotations, odd_boxes)],
    )


def _ids(annotations: Annotations, which: npt.NDArray[np.bool_]) -> list[int | str]:
    ids: list[int | str] = annotations.ids[which].tolist()
    return ids
