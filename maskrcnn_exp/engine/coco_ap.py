"""From a model's detections to COCO's twelve numbers, for boxes and for masks.

Detections are kept as run-length codes, a few hundred bytes each, so that a validation set of any size fits in
memory and travels cheaply between processes (`mask_rle`). The numbers are pycocotools': `faster_coco_eval` does the
matching (tests hold its tables equal to pycocotools' to 1e-12), the summary is ours, so that it works for any
`max_dets`.

Shape letters: k detections of one picture, r the side of the mask head's output, h × w pixels of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from maskrcnn_exp.data.target import GroundTruth
from maskrcnn_exp.engine.mask_rle import paste_rles
from maskrcnn_exp.engine.pr_curves import PrCurve, pr_curves

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from maskrcnn_exp.engine.coco_matching import Kind

__all__ = ["STANDARD_MAX_DETS", "CocoResult", "Detections", "encode_detections", "evaluate_coco"]

Rle = dict[str, Any]

STANDARD_MAX_DETS: Final = 100
"""Detections per picture that count in published COCO numbers."""

_AREAS: Final = {"": 0, "s": 1, "m": 2, "l": 3}  # the evaluator's order: all, small, medium, large
_IOU_50: Final = 0  # index among the ten IoU thresholds 0.50, 0.55 … 0.95
_IOU_75: Final = 5


@dataclass(frozen=True, eq=False)  # arrays have no one equality
class Detections:
    """What the model found in one picture, in the model's order."""

    image_index: int  # position of the picture in the dataset
    boxes_xyxy: NDArray[np.floating[Any]]  # [k, 4], pixels; float32 from a model, float64 is kept
    labels: NDArray[np.int64]  # [k], 1 … number of categories
    scores: NDArray[np.float32]  # [k], 0..1
    rles: list[Rle] = field(repr=False)  # k compressed RLEs: size [h, w], counts as bytes

    def take(self, places: NDArray[np.int64]) -> Detections:
        """Return the detections at these places, in this order."""
        return Detections(
            image_index=self.image_index,
            boxes_xyxy=self.boxes_xyxy[places],
            labels=self.labels[places],
            scores=self.scores[places],
            rles=[self.rles[place] for place in places],
        )


@dataclass(frozen=True)
class CocoResult:
    """The twelve numbers of `record.tags.COCO_METRICS`, each 0..1, or -1 where there is nothing to find.

    -1 is pycocotools' own mark: no object of that size in the ground truth. Whoever records leaves it out.
    """

    bbox: dict[str, float]  # at most `max_dets` detections per picture; AR1, AR10, AR100 keep their own limit
    segm: dict[str, float]
    max_dets: int
    standard_bbox: dict[str, float]  # at most 100 detections; the same object as `bbox` where max_dets is 100
    standard_segm: dict[str, float]
    curves: tuple[PrCurve, ...] = field(default=(), compare=False, repr=False)  # of at most `max_dets` detections

    def numbers(self) -> dict[str, Any]:
        """Return all but the curves, for JSON."""
        return {name: value for name, value in vars(self).items() if name != "curves"}


def encode_detections(
    image_index: int,
    boxes: Tensor,
    labels: Tensor,
    scores: Tensor,
    mask_probs: Tensor,
    height: int,
    width: int,
    threshold: float = 0.5,
) -> Detections:
    """Turn each small mask into the run-length code that it has in the picture.

    The pixels are those of torchvision's `paste_masks_in_image(…) > threshold`, bit for bit.

    Args:
        boxes: float [k, 4], x1 y1 x2 y2 in the picture's pixels; may reach over its edges.
        labels: int [k].
        scores: float [k].
        mask_probs: float [k, 1, r, r], the mask of the detection's own class after the sigmoid.
        threshold: A pixel belongs to the mask above it. 0 … 1.

    Tensors may lie on any device. k = 0 gives empty arrays.
    """
    boxes_xyxy = boxes.detach().float().cpu()
    small = mask_probs.detach().float().cpu()[:, 0].numpy()
    rles = paste_rles(small, boxes_xyxy, height, width, threshold)
    return Detections(
        image_index=image_index,
        boxes_xyxy=boxes_xyxy.numpy(),
        labels=labels.detach().cpu().numpy().astype(np.int64),
        scores=scores.detach().float().cpu().numpy(),
        rles=rles,
    )


def evaluate_coco(
    ground_truth: GroundTruth, detections: Sequence[Detections], max_dets: int = STANDARD_MAX_DETS
) -> CocoResult:
    """Match detections with the ground truth as COCO does, and summarise boxes and masks.

    With `max_dets` above 100, AP and AR by size count up to `max_dets` detections per picture; AR1, AR10 and
    AR100 stay what their names say, and the standard numbers come from the same matching at 100. The result does
    not depend on the order of `detections`. A picture without detections may be left out of them. The ground
    truth is not changed.

    Raises:
        ValueError: `max_dets` is below 100; a picture, its size or a label is not in the ground truth; a
            picture comes twice, as it does from a distributed sampler that pads the last batch.
    """
    from maskrcnn_exp.engine.coco_matching import match

    if max_dets < STANDARD_MAX_DETS:
        raise ValueError(f"max_dets={max_dets} must be at least {STANDARD_MAX_DETS}: AR100 needs as many.")
    in_order = sorted(detections, key=lambda found: found.image_index)
    _check_detections(ground_truth, in_order)
    tables = match(ground_truth, in_order, limits=sorted({1, 10, STANDARD_MAX_DETS, max_dets}))
    at_max: dict[Kind, dict[str, float]] = {}
    standard: dict[Kind, dict[str, float]] = {}
    for kind, table in tables.items():
        at_max[kind] = standard[kind] = _summarise(table.precision, table.recall, limit=2)
        if max_dets > STANDARD_MAX_DETS:
            at_max[kind] = _summarise(table.precision, table.recall, limit=3)
    curves = pr_curves(tables, ground_truth)
    return CocoResult(at_max["bbox"], at_max["segm"], max_dets, standard["bbox"], standard["segm"], curves)


def _check_detections(ground_truth: GroundTruth, in_order: list[Detections]) -> None:
    sizes = {image["id"]: [image["height"], image["width"]] for image in ground_truth["images"]}
    labels = {category["id"] for category in ground_truth["categories"]}
    previous = None
    for found in in_order:
        if found.image_index not in sizes:
            raise ValueError(f"detections for picture {found.image_index}, which the ground truth does not have.")
        if found.image_index == previous:
            raise ValueError(f"picture {previous} has detections twice; merge or drop one before evaluation.")
        unknown = set(found.labels.tolist()) - labels
        if unknown:
            raise ValueError(
                f"picture {found.image_index}: labels {sorted(unknown)} are not among the "
                f"{len(labels)} categories of the ground truth; model and dataset do not fit."
            )
        size = sizes[found.image_index]
        other = [list(rle["size"]) for rle in found.rles if list(rle["size"]) != size]
        if other:  # the matching would take them for masks that overlap nothing
            raise ValueError(f"picture {found.image_index}: masks have height, width {other[0]}, the picture {size}.")
        previous = found.image_index


def _summarise(precision: NDArray[np.float64], recall: NDArray[np.float64], limit: int) -> dict[str, float]:
    """Average the tables into the twelve numbers; `limit` is the index of the detection limit for AP and AR."""
    ap = {f"AP{size}": precision[:, :, :, area, limit] for size, area in _AREAS.items()}
    ar = {f"AR{size}": recall[:, :, area, limit] for size, area in _AREAS.items() if size}
    cells = {
        "AP": ap["AP"],
        "AP50": precision[_IOU_50, :, :, 0, limit],
        "AP75": precision[_IOU_75, :, :, 0, limit],
        **ap,
        **{f"AR{count}": recall[:, :, 0, index] for index, count in enumerate((1, 10, 100))},
        **ar,
    }
    return {name: _mean(values) for name, values in cells.items()}


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[values > -1]  # -1: this category has no object of that size
    return float(defined.mean()) if defined.size else -1.0
