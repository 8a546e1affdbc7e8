"""Outlines that cannot be used, or not wholly."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.audit.outlines import Outlines
from maskrcnn_exp.data.audit.references import References
from maskrcnn_exp.data.coco_columns import ODD_CROWD

__all__ = ["check_outlines"]

Ints = npt.NDArray[np.int64]

_CHECKS: Final = {
    "no segmentation": "no-outline",
    "segmentation is neither polygons nor an RLE": "odd-outline",
    "RLE without a size": "broken-rle",
    "RLE does not fill its size": "broken-rle",
    "RLE does not decode": "broken-rle",
    "mask without a pixel": "empty-mask",
}
"""The reader's reasons that have a check of their own; the others are about polygons."""


def check_outlines(case: Case, references: References, outlines: Outlines) -> npt.NDArray[np.bool_]:
    """Return which annotations have an outline that training takes: bool [annotations].

    Args:
        case: The file.
        references: What its annotations belong to.
        outlines: Its outlines, drawn.
    """
    annotations, sizes = case.facts.annotations, outlines.sizes
    if len(annotations) and len(annotations.unusable.get("no segmentation", ())) == len(annotations):
        _report_boxes_only(case)
        return np.zeros(len(annotations), dtype=bool)
    usable: npt.NDArray[np.bool_] = annotations.rows >= 0
    for reason, numbers in annotations.unusable.items():
        if reason == ODD_CROWD:  # check_crowds names it, and fix=PATH mends it
            continue
        _report(case, _CHECKS.get(reason, "broken-polygon"), reason, numbers)
    known = usable & (sizes[:, 0] > 0) & (references.images >= 0)
    other = known & (annotations.rle_sizes[:, 0] > 0) & (annotations.rle_sizes != sizes).any(axis=1)
    _report(case, "rle-size", "the run lengths are for a picture of another size", np.flatnonzero(other))
    empty = known & (outlines.areas == 0)
    _report(case, "empty-mask", "mask without a pixel in the picture", np.flatnonzero(empty))
    _report_lost_parts(case)
    usable &= ~other & ~empty
    return usable


def _report(case: Case, check: str, reason: str, numbers: Ints) -> None:
    says = f"The outline cannot be used: {reason}. The object is left out and taught as background."
    to_do = "Draw it again, or let fix=PATH leave it out."
    case.annotations(check, "error", numbers, says, to_do)
    for number in numbers.tolist():
        case.repairs.drop_annotation(number, reason)


def _report_boxes_only(case: Case) -> None:
    keys = ", ".join(case.facts.annotation_keys)
    seems = "boxes only, as for a detector"
    if "segments_info" in case.facts.annotation_keys:
        seems = "COCO panoptic, whose masks are in PNG files"
    elif "keypoints" in case.facts.annotation_keys:
        seems = "keypoints"
    elif "caption" in case.facts.annotation_keys:
        seems = "captions"
    says = f"Not one annotation has a segmentation (keys: {keys}): {seems}. Mask R-CNN learns masks."
    to_do = "Export the annotations with their masks, as COCO instances."
    case.findings.add("no-masks", "error", "file", [str(case.facts.path)], says, to_do)
    case.repairs.impossible.append("it has no masks")


def _report_lost_parts(case: Case) -> None:
    rows = case.facts.annotations.rows
    lost = [number for number in case.facts.with_bad_parts.tolist() if rows[number] >= 0]
    says = "A polygon part has fewer than 3 points or half a point; it is dropped, and the object keeps the others."
    case.annotations("polygon-part-lost", "warning", lost, says, "fix=PATH drops the part.")
    for number in lost:
        case.repairs.order_outline(number, "segmentation: parts without 3 whole points dropped")
