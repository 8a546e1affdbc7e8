"""Matching detections with the ground truth, by `faster_coco_eval`, for boxes and masks in turn.

It is imported when an evaluation starts: `faster_coco_eval` is not cheap to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from faster_coco_eval.core.coco import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from pycocotools import mask as rle_codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from maskrcnn_exp.data.target import GroundTruth
    from maskrcnn_exp.engine.coco_ap import Detections

__all__ = ["Kind", "Tables", "match"]

Kind = Literal["bbox", "segm"]


class Tables(NamedTuple):
    """What the evaluator accumulates, -1 where undefined."""

    precision: NDArray[np.float64]  # [iou, recall, category, area, limit]
    recall: NDArray[np.float64]  # [iou, category, area, limit]
    scores: NDArray[np.float64]  # as precision: of the detection that reaches the recall


def match(ground_truth: GroundTruth, in_order: Sequence[Detections], limits: Sequence[int]) -> dict[Kind, Tables]:
    """Return the tables for boxes and for masks.

    Args:
        in_order: By rising picture; of equal scores the earlier detection comes first.
        limits: Detections per picture that count, rising.
    """
    annotations = _annotations(in_order)
    # The evaluator writes into annotations, so it gets its own; what stands in them is only read.
    truth = COCO({**ground_truth, "annotations": [dict(item) for item in ground_truth["annotations"]]})
    found = COCO({**ground_truth, "annotations": annotations})
    tables: dict[Kind, Tables] = {"bbox": _tables(truth, found, "bbox", limits)}
    areas = [area for item in in_order for area in rle_codec.area(item.rles).tolist()]
    for annotation, area in zip(annotations, areas, strict=True):
        annotation["area"] = float(area)
    return tables | {"segm": _tables(truth, found, "segm", limits)}


def _annotations(in_order: Sequence[Detections]) -> list[dict[str, Any]]:
    """Turn detections into COCO annotations; `area` is the box's."""
    annotations: list[dict[str, Any]] = []
    for item in in_order:
        rows = zip(item.boxes_xyxy.tolist(), item.labels.tolist(), item.scores.tolist(), item.rles, strict=True)
        for number, ((x1, y1, x2, y2), label, score, rle) in enumerate(rows, start=len(annotations) + 1):
            annotations.append(
                {
                    "id": number,  # from 1: the evaluator takes 0 for "no match"
                    "image_id": item.image_index,
                    "category_id": label,
                    "score": score,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "segmentation": rle,
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    return annotations


def _tables(truth: COCO, found: COCO, kind: Kind, limits: Sequence[int]) -> Tables:
    evaluator = _Evaluator(truth, found, kind, print_function=_silent)
    evaluator.params.maxDets = list(limits)
    evaluator.params.compute_rle = False  # it would decode and encode every mask, to decode it again for its IoU
    evaluator.evaluate()
    evaluator.accumulate()
    return Tables(*(np.asarray(evaluator.eval[name]) for name in Tables._fields))


def _silent(*_: object) -> None:
    """Take the evaluator's progress messages: the loggers of a Hydra job would print them in every epoch."""


class _Evaluator(COCOeval_faster):  # type: ignore[misc] # it has no types
    """The evaluator, with pycocotools' IoU: several times faster on compressed codes, and the same numbers."""

    def computeIoU(self, imgId: int, catId: int) -> list[list[float]]:  # noqa: N802, N803 - the evaluator's names
        """Return the IoU of each detection that counts, by falling score, with each object of one category."""
        objects, found = self.gt_dataset.get(imgId, catId), self.dt_dataset.get(imgId, catId)
        if not objects or not found:
            return []
        by_score = np.argsort([-item["score"] for item in found], kind="stable")[: self.params.maxDets[-1]]
        key = "bbox" if self.params.iouType == "bbox" else "segmentation"
        mine: Any = [found[place][key] for place in by_score]
        theirs: Any = [item[key] for item in objects]
        if key == "bbox":  # pycocotools looks at every number of a list
            mine, theirs = np.array(mine), np.array(theirs)
        ious: list[list[float]] = rle_codec.iou(mine, theirs, [int(item["iscrowd"]) for item in objects]).tolist()
        return ious
