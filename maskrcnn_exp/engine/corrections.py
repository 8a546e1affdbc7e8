"""One picture's detections with one thing mended: classes, boxes or masks; and what the mask's resolution allows.

The mask AP of all pictures, mended so, tells what the unmended thing costs (`engine/oracle.py`).

Shape letters: k detections and n objects of one picture, r the side of the mask head's output.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
import torch
from pycocotools import mask as rle_codec
from torchvision.ops import box_iou

from maskrcnn_exp.data.ground_truth import encode_masks
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.engine.coco_ap import Detections, encode_detections
from maskrcnn_exp.engine.mask_rle import paste_rles
from maskrcnn_exp.model.forward import ObjectMasks
from maskrcnn_exp.model.mask_targets import cut_mask_targets

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = [
    "CORRECTIONS",
    "Correction",
    "correct_classes",
    "correct_masks",
    "correct_picture",
    "see_through_grid",
    "show_at_double_size",
    "show_at_resolutions",
]

Correction = Literal[
    "classes",  # each detection has its object's class
    "boxes",  # what the mask head gives in the objects' own boxes; classes are true, all scores 1
    "masks",  # each detection has its object's mask, as far as its box reaches
    "masks_and_classes",
    "coarse_masks",  # each detection has its object's mask as r × r of its box can show it
]

CORRECTIONS: Final[tuple[Correction, ...]] = get_args(Correction)

_SAME_OBJECT: Final = 0.5  # IoU from which a detection means an object; COCO's least
_MASK_THRESHOLD: Final = 0.5  # of a pasted mask, as `encode_detections` has it


def correct_picture(sample: Sample, detections: Detections, objects: ObjectMasks) -> dict[Correction, Detections]:
    """Return the picture's detections once for each correction.

    A detection means the object that it overlaps most, if its IoU is 0.5 at least: of boxes where its mask is mended,
    of masks where its class alone is. What r × r can show is what the mask head is taught: cut from the masks as the
    network sees them, pasted as its own are.
    """
    target = sample.target
    truths: list[Any] = encode_masks(target["masks"])
    labels = target["labels"].numpy()
    by_mask = _mask_ious(detections.rles, truths)
    relabelled = correct_classes(detections, _box_ious(detections, target["boxes"]), labels)
    return {
        "classes": correct_classes(detections, by_mask, labels),
        "boxes": _objects_as_detections(sample, objects.found),
        "masks": correct_masks(detections, sample, truths),
        "masks_and_classes": correct_masks(relabelled, sample, truths),
        "coarse_masks": _coarse_masks(detections, sample, objects),
    }


def show_at_resolutions(sample: Sample, objects: ObjectMasks) -> dict[int, Detections]:
    """Return the objects' masks as grids in their own boxes show them, for r, half of it and twice as much.

    That is all that a mask head of this resolution can reach.
    """
    side = objects.found.shape[-1]
    sides = (max(2, side // 4 * 2), side, 2 * side)  # a mask head's resolution is even
    return {other: _objects_as_detections(sample, see_through_grid(objects, other)) for other in sides}


def show_at_double_size(sample: Sample, objects: ObjectMasks) -> Detections:
    """Return what the head's own resolution shows of objects that the network sees twice as large."""
    twice = objects.seen.repeat_interleave(2, dim=1).repeat_interleave(
        2, dim=2
    )  # nearest, as torchvision resizes masks
    larger = replace(objects, seen=twice, boxes=objects.boxes * 2)
    return _objects_as_detections(sample, see_through_grid(larger, objects.found.shape[-1]))


def correct_classes(detections: Detections, ious: NDArray[np.float64], labels: NDArray[np.int64]) -> Detections:
    """Give each detection the class of the object that it overlaps most, where its IoU is 0.5 at least.

    A detection that finds an object of its own class keeps its class. Where an object is found already, by such a one
    or by a better-scored mended one, the detection is left out, as non-maximum suppression would within one class.

    Args:
        ious: [k, n].
        labels: Of the objects, [n].
    """
    same_object = ious >= _SAME_OBJECT
    right = same_object & (detections.labels[:, None] == labels)
    taken = right.any(axis=0)  # [n]
    corrected, kept = detections.labels.copy(), np.ones(len(ious), dtype=np.bool_)
    wrong = np.flatnonzero(same_object.any(axis=1) & ~right.any(axis=1))
    for row in wrong[np.argsort(-detections.scores[wrong], kind="stable")]:
        best = ious[row].argmax()
        kept[row] = not taken[best]
        corrected[row] = labels[best]
        taken[best] = True
    return replace(detections, labels=corrected).take(np.flatnonzero(kept))


def correct_masks(detections: Detections, sample: Sample, truths: list[Any]) -> Detections:
    """Give each detection of an object's class the object's mask, without what lies outside of its box.

    Args:
        truths: The objects' masks as RLEs, n.
    """
    rows, objects = _match(detections, sample)
    rles = list(detections.rles)
    for row, number in zip(rows.tolist(), objects.tolist(), strict=True):
        height, width = truths[number]["size"]
        x1, y1 = np.maximum(np.floor(detections.boxes_xyxy[row, :2]), 0)
        x2, y2 = np.minimum(np.ceil(detections.boxes_xyxy[row, 2:]), [width, height])
        (box,) = rle_codec.frPyObjects(np.array([[x1, y1, x2 - x1, y2 - y1]], dtype=np.float64), height, width)
        rles[row] = rle_codec.merge([truths[number], box], intersect=True)
    return replace(detections, rles=rles)


def _coarse_masks(detections: Detections, sample: Sample, objects: ObjectMasks) -> Detections:
    """Give each detection of an object's class the object's mask as r × r of the detected box can show it."""
    rows, matched = _match(detections, sample)
    boxes = torch.from_numpy(detections.boxes_xyxy[rows].astype(np.float32))
    height, width = sample.image.shape[-2:]
    high, wide = objects.seen.shape[-2:]
    scale = boxes.new_tensor([wide / width, high / height] * 2)
    cut = replace(objects, boxes=(boxes * scale).to(objects.boxes.device))
    masks = see_through_grid(cut, objects.found.shape[-1], torch.from_numpy(matched))[:, 0].cpu().numpy()
    rles = list(detections.rles)
    for row, rle in zip(rows.tolist(), paste_rles(masks, boxes, height, width, _MASK_THRESHOLD), strict=True):
        rles[row] = rle
    return replace(detections, rles=rles)


def _objects_as_detections(sample: Sample, masks: Tensor) -> Detections:
    """Return the picture's objects as detections of score 1, with these masks, float [n, 1, r, r], in their boxes."""
    boxes, labels = sample.target["boxes"], sample.target["labels"]
    height, width = sample.image.shape[-2:]
    return encode_detections(sample.index, boxes, labels, torch.ones(len(labels)), masks, height, width)


def see_through_grid(objects: ObjectMasks, side: int, matched: Tensor | None = None) -> Tensor:
    """Cut masks as the mask head's targets are cut: float32 [k, 1, side, side], 0..1.

    Args:
        objects: With boxes [k, 4].
        matched: int64 [k], the object of each box; each its own if not given.
    """
    device = objects.boxes.device
    matched = torch.arange(len(objects.boxes), device=device) if matched is None else matched.to(device)
    return cut_mask_targets([objects.seen], [objects.boxes], [matched], side)[:, None]


def _match(detections: Detections, sample: Sample) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the detections that mean an object of their own class, and which one: the one whose box they fit best."""
    labels = sample.target["labels"].numpy()
    own = np.where(detections.labels[:, None] == labels, _box_ious(detections, sample.target["boxes"]), 0)
    rows = np.flatnonzero(own.max(axis=1, initial=0) >= _SAME_OBJECT)
    return rows, own[rows].argmax(axis=1) if len(rows) else rows


def _mask_ious(mine: list[Any], theirs: list[Any]) -> NDArray[np.float64]:
    if not mine or not theirs:
        return np.zeros((len(mine), len(theirs)))
    ious: NDArray[np.float64] = rle_codec.iou(mine, theirs, [0] * len(theirs))
    return ious


def _box_ious(detections: Detections, boxes: Tensor) -> NDArray[np.float64]:
    mine = torch.from_numpy(detections.boxes_xyxy.astype(np.float64))
    ious: NDArray[np.float64] = box_iou(mine, boxes.double()).numpy()
    return ious
