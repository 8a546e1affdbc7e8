"""Masks that look unlike masks: as full as a box, or next to nothing of it; and one object drawn twice."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.audit.findings import Findings, Severity
from maskrcnn_exp.data.audit.split import Objects, Split
from maskrcnn_exp.data.boxes import box_iou

__all__ = ["check_masks", "find_doubles"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_FULL: Final = 0.98  # share of the box
_NEXT_TO_NOTHING: Final = 0.05
_SMALL: Final = 100.0  # pixels of a box; in smaller ones rounding decides the share
_THIN: Final = 1.0  # pixels
_SAME_IOU: Final = 0.9
_LIKELY_IOU: Final = 0.75  # of boxes, so that drawing the masks is worth it
_IDENTICAL: Final = 0.999


def check_masks(split: Split, findings: Findings) -> None:
    """Find suspect masks of any dataset."""
    objects = split.instances()
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    box_areas: Floats = sides.prod(axis=1)
    share: Floats = objects.areas / np.maximum(box_areas, 1e-9)
    full = objects.take((share > _FULL) & (box_areas >= _SMALL))
    says = (
        f"The mask covers more than 98 % of its box: a box drawn as a mask? Classes: {_classes(split, full)}. Fine for "
        "objects that are rectangles; for others the mask head learns boxes."
    )
    _report(findings, "box-as-mask", "warning", full, says, "Look at the contact sheet; draw the outlines.")
    nothing = objects.take((share < _NEXT_TO_NOTHING) & (box_areas >= _SMALL))
    says = (
        f"The mask covers less than 5 % of its box: a stray part far away, or a very thin object. Classes: "
        f"{_classes(split, nothing)}."
    )
    _report(findings, "mask-far-smaller-than-box", "warning", nothing, says, "Look at the contact sheet.")
    thin = objects.take(sides.min(axis=1) <= _THIN)
    says = "The mask is a line one pixel wide: a slip of the annotator? A mask head cannot learn it."
    _report(findings, "line-mask", "warning", thin, says, "Remove it, or draw it again.")


def find_doubles(split: Split, findings: Findings) -> Ints:
    """Report objects that are drawn twice; return the numbers of those whose mask another one has to the pixel."""
    objects = split.instances()
    first, second = _likely_pairs(objects)
    ious = _mask_ious(split, objects, first, second)
    later = np.maximum(first, second)
    says = "Another object of the same class covers the same pixels (IoU above 0.9): drawn twice? Each is a target."
    to_do = "Remove one of them; fix=PATH does where the masks are identical."
    _report(findings, "object-twice", "warning", objects.take(np.unique(later[ious > _SAME_IOU])), says, to_do)
    identical: Ints = objects.numbers[np.unique(later[ious > _IDENTICAL])]
    return identical


def _mask_ious(split: Split, objects: Objects, first: Ints, second: Ints) -> Floats:
    """The IoU of each pair; every mask of a picture is drawn once."""
    ious = np.zeros(len(first))
    order = np.argsort(objects.pictures[first], kind="stable")
    changes = np.flatnonzero(np.diff(objects.pictures[first[order]])) + 1
    for pairs in np.split(order, changes) if len(order) else []:
        drawn, place = np.unique(np.concatenate([first[pairs], second[pairs]]), return_inverse=True)
        rles = split.draw(objects.numbers[drawn])
        matrix = np.asarray(coco_mask.iou(rles, rles, [0] * len(rles)))
        ious[pairs] = matrix[place[: len(pairs)], place[len(pairs) :]]
    return ious


def _likely_pairs(objects: Objects) -> tuple[Ints, Ints]:
    """Pairs of one picture and class whose areas and boxes allow masks of an IoU above 0.9: positions in `objects`."""
    order = np.lexsort((objects.numbers, objects.areas, objects.labels, objects.pictures))
    pictures, labels, areas = objects.pictures[order], objects.labels[order], objects.areas[order]
    firsts, seconds = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    open_ = np.arange(len(order) - 1)
    step = 1
    # Each against its next larger neighbours of the same picture and class, until they are too large.
    while len(open_):
        other = open_ + step
        near = (pictures[open_] == pictures[other]) & (labels[open_] == labels[other])
        near &= areas[open_] >= (_SAME_IOU - 0.05) * areas[other]
        open_, other = open_[near], other[near]
        one, two = order[open_], order[other]
        likely = box_iou(objects.boxes[one], objects.boxes[two]) >= _LIKELY_IOU
        firsts.append(one[likely])
        seconds.append(two[likely])
        step += 1
        open_ = open_[open_ + step < len(order)]
    return np.concatenate(firsts), np.concatenate(seconds)


def _classes(split: Split, objects: Objects) -> str:
    counts = Counter(objects.labels.tolist()).most_common(5)
    return ", ".join(f"{split.class_names[label]} ({count})" for label, count in counts)


def _report(findings: Findings, check: str, severity: Severity, objects: Objects, says: str, to_do: str) -> None:
    findings.add(check, severity, "annotation", objects.ids.tolist(), says, to_do, objects.numbers.tolist())
