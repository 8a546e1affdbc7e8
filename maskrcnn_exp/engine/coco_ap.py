"""From a model's detections to COCO's twelve numbers, for boxes and for masks.

Detections are kept as run-length codes, a few hundred bytes each, so that a validation set of any size fits in
memory and travels cheaply between processes. The numbers are pycocotools': `faster_coco_eval` does the matching
(tests hold its tables equal to pycocotools' to 1e-12), the summary is ours, so that it works for any `max_dets`.

Shape letters: k detections of one picture, r the side of the mask head's output, h × w pixels of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pycocotools import mask as rle_codec

from maskrcnn_exp.data.target import GroundTruth

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["STANDARD_MAX_DETS", "CocoResult", "Detections", "encode_detections", "evaluate_coco"]

Kind = Literal["bbox", "segm"]
Rle = dict[str, Any]

STANDARD_MAX_DETS: Final = 100
"""Detections per picture that count in published COCO numbers."""

_KINDS: Final[tuple[Kind, ...]] = ("bbox", "segm")
_AREAS: Final = {"": 0, "s": 1, "m": 2, "l": 3}  # the evaluator's order: all, small, medium, large
_IOU_50: Final = 0  # index among the ten IoU thresholds 0.50, 0.55 … 0.95
_IOU_75: Final = 5
_COPIED: Final = ("images", "annotations", "categories")
_ZERO: Final = np.int8(0)


@dataclass(frozen=True, eq=False)  # arrays have no one equality
class Detections:
    """What the model found in one picture, in the model's order."""

    image_index: int  # position of the picture in the dataset
    boxes_xyxy: NDArray[np.floating[Any]]  # [k, 4], pixels; float32 from a model, float64 is kept
    labels: NDArray[np.int64]  # [k], 1 … number of categories
    scores: NDArray[np.float32]  # [k], 0..1
    rles: list[Rle] = field(repr=False)  # k compressed RLEs: size [h, w], counts as bytes


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
    """Paste each small mask into its box and keep it as a run-length code.

    The pixels are those of torchvision's `paste_masks_in_image(…) > threshold`, bit for bit, but no more than one
    mask exists at full precision at a time, and only inside its box.

    Args:
        boxes: float [k, 4], x1 y1 x2 y2 in the picture's pixels; may reach over its edges.
        labels: int [k].
        scores: float [k].
        mask_probs: float [k, 1, r, r], the mask of the detection's own class after the sigmoid.
        threshold: A pixel belongs to the mask above it. 0 … 1.

    Tensors may lie on any device. k = 0 gives empty arrays.
    """
    from torch.nn.functional import pad

    boxes_xyxy = boxes.detach().float().cpu()
    padded = pad(mask_probs.detach().float().cpu(), (1, 1, 1, 1))  # [k, 1, r + 2, r + 2]
    corners = _expand_boxes(boxes_xyxy, padded.shape[-1] / mask_probs.shape[-1]).tolist()
    rles = [
        _paste_rle(small_mask[None], corner, height, width, threshold)
        for small_mask, corner in zip(padded, corners, strict=True)
    ]
    return Detections(
        image_index=image_index,
        boxes_xyxy=boxes_xyxy.numpy(),
        labels=labels.detach().cpu().numpy().astype(np.int64),
        scores=scores.detach().float().cpu().numpy(),
        rles=rles,
    )


def _expand_boxes(boxes_xyxy: Tensor, scale: float) -> Tensor:
    """Scale boxes about their centres, then cut to whole pixels. float32 [k, 4] -> int64 [k, 4]."""
    import torch

    # The order of operations is torchvision's: another one rounds differently and moves a mask by a pixel.
    half = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) * 0.5 * scale  # [k, 2]
    centre = (boxes_xyxy[:, 2:] + boxes_xyxy[:, :2]) * 0.5  # [k, 2]
    return torch.cat([centre - half, centre + half], dim=1).to(torch.int64)


def _paste_rle(small_mask: Tensor, corner: list[int], height: int, width: int, threshold: float) -> Rle:
    """Resize one padded mask [1, 1, r + 2, r + 2] to its box and encode what lies inside the picture."""
    from torch.nn.functional import interpolate

    left, top, right, bottom = corner  # the last column and row belong to the box
    x0, x1 = max(left, 0), min(right + 1, width)
    y0, y1 = max(top, 0), min(bottom + 1, height)
    if x1 <= x0 or y1 <= y0:
        return _encode_columns(np.zeros((height, 0), dtype=np.bool_), 0, height, width)
    size = (max(bottom - top + 1, 1), max(right - left + 1, 1))
    probs = interpolate(small_mask, size=size, mode="bilinear", align_corners=False)[0, 0]
    columns = np.zeros((height, x1 - x0), dtype=np.bool_)
    columns[y0:y1] = (probs[y0 - top : y1 - top, x0 - left : x1 - left] > threshold).numpy()
    return _encode_columns(columns, x0, height, width)


def _encode_columns(columns: NDArray[np.bool_], x0: int, height: int, width: int) -> Rle:
    """Encode a mask that is empty outside of `columns`, bool [h, some], which start at x = x0.

    Equal to pycocotools' `encode` of the whole picture, without visiting the pixels outside of the columns.
    """
    edges = np.diff(columns.ravel(order="F").view(np.int8), prepend=_ZERO, append=_ZERO)  # RLE runs down the columns
    switches = np.flatnonzero(edges) + x0 * height  # where the value changes, the mask's end included
    lengths = np.diff(switches, prepend=0, append=height * width)
    if len(lengths) > 1 and lengths[-1] == 0:
        lengths = lengths[:-1]
    code: Rle = rle_codec.frPyObjects({"size": [height, width], "counts": lengths.tolist()}, height, width)
    return code


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
    if max_dets < STANDARD_MAX_DETS:
        raise ValueError(f"max_dets={max_dets} must be at least {STANDARD_MAX_DETS}: AR100 needs as many.")
    in_order = sorted(detections, key=lambda found: found.image_index)
    _check_detections(ground_truth, in_order)
    at_max: dict[str, dict[str, float]] = {}
    standard: dict[str, dict[str, float]] = {}
    for kind in _KINDS:
        precision, recall = _match(ground_truth, in_order, kind, max_dets)
        at_max[kind] = standard[kind] = _summarise(precision, recall, limit=2)
        if max_dets > STANDARD_MAX_DETS:
            at_max[kind] = _summarise(precision, recall, limit=3)
    return CocoResult(at_max["bbox"], at_max["segm"], max_dets, standard["bbox"], standard["segm"])


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


def _silent(*_: object) -> None:
    """Take the evaluator's progress messages: the loggers of a Hydra job would print them in every epoch."""


def _match(
    ground_truth: GroundTruth, in_order: list[Detections], kind: Kind, max_dets: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return precision [iou, recall, category, area, limit] and recall [iou, category, area, limit]."""
    from faster_coco_eval.core.coco import COCO
    from faster_coco_eval.core.faster_eval_api import COCOeval_faster

    # The evaluator writes into annotations, so it gets its own; the codes inside are only read.
    truth = {**ground_truth, **{key: [dict(item) for item in ground_truth[key]] for key in _COPIED}}
    found = {**truth, "annotations": _annotations(in_order, kind)}
    evaluator = COCOeval_faster(COCO(truth), COCO(found), kind, print_function=_silent)
    evaluator.params.maxDets = sorted({1, 10, STANDARD_MAX_DETS, max_dets})
    evaluator.evaluate()
    evaluator.accumulate()
    return np.asarray(evaluator.eval["precision"]), np.asarray(evaluator.eval["recall"])


def _annotations(in_order: list[Detections], kind: Kind) -> list[dict[str, Any]]:
    """Turn detections into COCO annotations; `area` is the box's or the mask's, as `kind` says."""
    annotations: list[dict[str, Any]] = []
    for found in in_order:
        rows = zip(found.boxes_xyxy.tolist(), found.labels.tolist(), found.scores.tolist(), found.rles, strict=True)
        for (x1, y1, x2, y2), label, score, rle in rows:
            area = (x2 - x1) * (y2 - y1) if kind == "bbox" else float(rle_codec.area(rle))
            shape = {"bbox": [x1, y1, x2 - x1, y2 - y1]} if kind == "bbox" else {"segmentation": rle}
            annotations.append(
                {
                    "id": len(annotations) + 1,  # from 1: the evaluator takes 0 for "no match"
                    "image_id": found.image_index,
                    "category_id": label,
                    "score": score,
                    "area": area,
                    "iscrowd": 0,
                    **shape,
                }
            )
    return annotations


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
