"""Instances as a COCO instances dictionary, the form in which the evaluator takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.target import Category, GroundTruth

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Rle", "category_entries", "encode_masks", "ground_truth_of_masks"]


class Rle(TypedDict):
    """A mask as COCO's compressed run lengths."""

    size: list[int]  # height, width
    counts: bytes


def encode_masks(masks: Tensor) -> list[Rle]:
    """Compress masks uint8 [n, h, w]."""
    if masks.shape[0] == 0:
        return []
    rles: list[Rle] = coco_mask.encode(np.asfortranarray(masks.permute(1, 2, 0).numpy()))
    return rles


def category_entries(categories: Sequence[Category]) -> list[dict[str, Any]]:
    """The `categories` of a ground truth: ids are the model's labels 1, 2, …"""
    return [{"id": label, "name": category.name} for label, category in enumerate(categories, start=1)]


def ground_truth_of_masks(
    categories: Sequence[Category], pictures: Iterable[tuple[str, Tensor, Tensor]]
) -> GroundTruth:
    """Build a ground truth from (file name, masks uint8 [n, h, w], labels int64 [n]), one per picture."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for position, (name, masks, labels) in enumerate(pictures):
        _, height, width = masks.shape
        images.append({"id": position, "file_name": name, "height": height, "width": width})
        for rle, label in zip(encode_masks(masks), labels.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": position,
                    "category_id": label,
                    "iscrowd": 0,
                    "area": float(coco_mask.area(rle)),
                    "bbox": [float(side) for side in coco_mask.toBbox(rle)],
                    "segmentation": rle,
                }
            )
    return {"images": images, "annotations": annotations, "categories": category_entries(categories)}
