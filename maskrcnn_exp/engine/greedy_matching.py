"""Overlaps of detections and objects, their matching at one IoU, and average precision: what TIDE and boundary AP need.

COCO's evaluator gives its own numbers only; these functions follow its rules step by step, and a test holds the mask
AP that comes out of them equal to its own.

Shape letters: k detections and n objects of one picture, m detections of one class in all pictures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pycocotools import mask as rle_codec

from maskrcnn_exp.data.target import GroundTruth
from maskrcnn_exp.engine.coco_ap import Detections

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Overlaps", "ap_at", "average_precision", "find_overlaps", "match_greedily"]

_RECALLS: Final = np.linspace(0, 1, 101)  # COCO's points of the precision-recall curve


@dataclass(frozen=True, eq=False)
class Overlaps:
    """One picture's detections, by falling score, against its objects. Crowd regions are not among the objects."""

    found: Detections
    object_labels: NDArray[np.int64]  # [n]
    object_rles: list[Any]  # n
    ious: NDArray[np.float64]  # [k, n], whatever the class
    in_crowd: NDArray[np.float64]  # [k], largest share of a detection in one crowd region of its class

    @property
    def same_class(self) -> NDArray[np.bool_]:
        """Whether a detection has the object's class, [k, n]."""
        same: NDArray[np.bool_] = self.found.labels[:, None] == self.object_labels
        return same


def find_overlaps(
    ground_truth: GroundTruth, detections: Sequence[Detections], kind: Literal["bbox", "segm"]
) -> list[Overlaps]:
    """Return the overlaps of each picture of the ground truth, in its order, of boxes or of masks.

    A picture without detections may be left out of `detections`.
    """
    of_picture: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in ground_truth["annotations"]:
        of_picture[annotation["image_id"]].append(annotation)
    found = {item.image_index: item for item in detections}
    nothing = Detections(0, np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.float32), [])
    indices = [image["id"] for image in ground_truth["images"]]
    return [_of_picture(of_picture[i], found.get(i, replace(nothing, image_index=i)), kind) for i in indices]


def _of_picture(annotations: list[dict[str, Any]], found: Detections, kind: Literal["bbox", "segm"]) -> Overlaps:
    # Of equal scores the earlier one first, as COCO has it.
    found = found.take(np.argsort(-found.scores, kind="stable"))
    objects = [item for item in annotations if not item["iscrowd"]]
    crowds = [item for item in annotations if item["iscrowd"]]
    shares = _ious(found, crowds, kind)  # [k, crowds]
    crowd_labels = np.array([item["category_id"] for item in crowds], dtype=np.int64)
    shares[found.labels[:, None] != crowd_labels] = 0
    return Overlaps(
        found=found,
        object_labels=np.array([item["category_id"] for item in objects], dtype=np.int64),
        object_rles=[item["segmentation"] for item in objects],
        ious=_ious(found, objects, kind),
        in_crowd=shares.max(axis=1, initial=0),
    )


def _ious(found: Detections, annotations: list[dict[str, Any]], kind: Literal["bbox", "segm"]) -> NDArray[np.float64]:
    if not annotations or len(found.labels) == 0:
        return np.zeros((len(found.labels), len(annotations)))
    mine: Any = found.rles
    theirs: Any = [item["segmentation"] for item in annotations]
    if kind == "bbox":
        corners = found.boxes_xyxy.astype(np.float64)
        mine = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        theirs = np.array([item["bbox"] for item in annotations], dtype=np.float64)
    ious: NDArray[np.float64] = rle_codec.iou(mine, theirs, [int(item["iscrowd"]) for item in annotations])
    return ious


def match_greedily(ious: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """Give each detection the free object that it overlaps most, the best-scored detection first.

    Args:
        ious: [k, n], by falling score; 0 where the classes differ.
        threshold: Least IoU of a match, > 0.

    Returns:
        int64 [k], the object of each detection, -1 for none.
    """
    matched = np.full(len(ious), -1, dtype=np.int64)
    threshold = min(threshold, 1 - 1e-10)  # COCO's guard for a threshold of 1
    free = ious.copy()
    for row in np.flatnonzero(ious.max(axis=1, initial=0) >= threshold):
        best = free.shape[1] - 1 - int(free[row, ::-1].argmax())  # of equal ones COCO takes the last
        if free[row, best] >= threshold:
            matched[row] = best
            free[:, best] = -1
    return matched


def average_precision(scores: NDArray[np.float32], correct: NDArray[np.bool_], objects: int) -> float:
    """Return COCO's average precision of one class: the mean of the interpolated precision at 101 recalls.

    Args:
        scores: [m]; of equal ones the earlier detection counts first.
        correct: [m], whether a detection has its object.
        objects: Of the class, in all pictures, > 0.
    """
    hits = np.cumsum(correct[np.argsort(-scores, kind="stable")])
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]  # the best at this recall or a higher one
    places = np.searchsorted(hits / objects, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[places].mean())


def ap_at(pictures: Sequence[Overlaps], threshold: float) -> float:
    """Return COCO's AP at one IoU, the mean over classes with an object, 0..1; -1 where there is none."""
    labels = np.concatenate([item.found.labels for item in pictures])
    scores = np.concatenate([item.found.scores for item in pictures])
    own_ious = [np.where(item.same_class, item.ious, 0) for item in pictures]
    correct = np.concatenate([match_greedily(ious, threshold) >= 0 for ious in own_ious])
    ignored = np.concatenate([item.in_crowd >= threshold for item in pictures]) & ~correct
    objects = np.concatenate([item.object_labels for item in pictures])
    aps = []
    for label in np.unique(objects):
        own = (labels == label) & ~ignored
        aps.append(average_precision(scores[own], correct[own], int(np.count_nonzero(objects == label))))
    return float(np.mean(aps)) if aps else -1.0
