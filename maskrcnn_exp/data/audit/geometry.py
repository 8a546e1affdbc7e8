"""The `bbox` and `area` of annotations against their masks, and what reaches out of the picture."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.audit.findings import Severity
from maskrcnn_exp.data.audit.outlines import Outlines
from maskrcnn_exp.data.audit.references import References
from maskrcnn_exp.data.audit.turns import find_turns
from maskrcnn_exp.data.boxes import box_iou

__all__ = ["check_areas", "check_boxes", "check_outside"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_LOOSE_IOU: Final = 0.9  # COCO's own boxes are rounded outwards: small ones miss this by a pixel …
_LOOSE_PIXELS: Final = 3.0  # … so an edge must be off by more, too
_BESIDE_IOU: Final = 0.5  # a detection on the object would not count at COCO's lowest threshold
_AREA_SHARE: Final = 0.1  # of the mask
_AREA_PIXELS: Final = 10.0
_OUTSIDE_PIXELS: Final = 0.5  # less is rounding
_FAR_OUTSIDE_PIXELS: Final = 2.0


def check_boxes(case: Case, outlines: Outlines, usable: Bools, references: References) -> None:
    """Find boxes that are absent, empty, loose, elsewhere than the mask, or turned against it."""
    xywh = case.facts.annotations.boxes_xywh
    absent = usable & np.isnan(xywh).any(axis=1)
    says = "There is no bbox of four numbers; it is measured on the mask. Other tools fail."
    _report_boxes(case, outlines, "no-box", "warning", absent, says)
    flat = usable & ~absent & (xywh[:, 2:] <= 0).any(axis=1)
    says = "The bbox has no width or no height, although the mask has pixels: the evaluation cannot match it."
    _report_boxes(case, outlines, "flat-box", "error", flat, says)
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    iou = box_iou(xyxy, outlines.boxes)
    loose = usable & ~absent & ~flat & (iou < _LOOSE_IOU)
    loose &= np.abs(xyxy - outlines.boxes).max(axis=1) > _LOOSE_PIXELS
    beside = loose & (iou < _BESIDE_IOU)
    turned = find_turns(np.flatnonzero(beside), references.images, xyxy, outlines)
    says = (
        "The bbox fits the mask after a turn of the picture: EXIF was applied to one of them only. Training takes the "
        "box of the mask; look whether the mask lies right."
    )
    _report_boxes(case, outlines, "turned-box", "error", beside & turned, says)
    says = "The bbox lies elsewhere than the mask (IoU below 0.5): one of them is wrong, and the evaluation takes both."
    _report_boxes(case, outlines, "box-beside-mask", "error", beside & ~turned, says)
    says = "The bbox does not fit the mask: IoU below 0.9, an edge off by more than 3 pixels."
    _report_boxes(case, outlines, "loose-box", "warning", loose & ~beside, says)


def check_areas(case: Case, outlines: Outlines, usable: Bools) -> None:
    """Find areas that are absent or far from the mask's; COCO's numbers for small, medium and large follow `area`."""
    annotations = case.facts.annotations
    areas = annotations.areas
    absent = usable & np.isnan(areas)
    says = "There is no area; it is measured on the mask. Other tools fail."
    _report_areas(case, outlines, "no-area", absent, says)
    off = np.abs(areas - outlines.areas) > np.maximum(_AREA_SHARE * outlines.areas, _AREA_PIXELS)
    wrong = usable & ~absent & off
    boxes = annotations.boxes_xywh[:, 2] * annotations.boxes_xywh[:, 3]
    of_box = wrong & (np.abs(areas - boxes) <= 0.01 * np.abs(boxes) + 1)
    what = "is the area of the bbox" if of_box.sum() > 0.5 * max(int(wrong.sum()), 1) else "is off"
    says = (
        f"The area {what}: it differs from the mask's by more than 10 %. The AP of small, medium and large objects "
        "follows it."
    )
    _report_areas(case, outlines, "area-far-from-mask", wrong, says)


def check_outside(case: Case, outlines: Outlines, usable: Bools) -> None:
    """Find outlines and boxes that reach out of the picture."""
    xywh = case.facts.annotations.boxes_xywh
    limits = outlines.sizes[:, [1, 0]].astype(np.float64)
    known = usable & (limits > 0).all(axis=1)
    of_mask = np.maximum(-outlines.extents[:, :2], outlines.extents[:, 2:] - limits).max(axis=1)
    of_box = np.maximum(-xywh[:, :2], xywh[:, :2] + xywh[:, 2:] - limits).max(axis=1)
    by = np.fmax(of_mask, of_box)  # [annotations], pixels
    far = known & (by > _FAR_OUTSIDE_PIXELS)
    says = (
        f"A polygon or bbox reaches out of the picture by {_most(by, far)} pixels at most. The mask is cut "
        "at the edge, the bbox is not."
    )
    case.annotations("outside-picture", "warning", np.flatnonzero(far), says, "fix=PATH cuts both at the edge.")
    near = known & ~far & (by > _OUTSIDE_PIXELS)
    says = "A polygon or bbox reaches out of the picture by up to 2 pixels. The mask is cut at the edge."
    case.annotations("just-outside-picture", "note", np.flatnonzero(near), says, "fix=PATH cuts both at the edge.")
    for number in np.flatnonzero(far | near).tolist():
        if of_mask[number] > _OUTSIDE_PIXELS:
            case.repairs.order_outline(number, "segmentation: polygons cut at the edge of the picture")
        if of_box[number] > _OUTSIDE_PIXELS and "bbox" not in _values(case, number):
            _set_box(case, number, _cut(xywh[number], limits[number]), "cut at the edge of the picture")


def _report_boxes(case: Case, outlines: Outlines, check: str, severity: Severity, which: Bools, says: str) -> None:
    numbers = np.flatnonzero(which)
    case.annotations(check, severity, numbers, says, "fix=PATH measures it on the mask.")
    for number in numbers.tolist():
        x1, y1, x2, y2 = outlines.boxes[number].tolist()
        _set_box(case, number, [x1, y1, x2 - x1, y2 - y1], "measured on the mask")


def _report_areas(case: Case, outlines: Outlines, check: str, which: Bools, says: str) -> None:
    numbers = np.flatnonzero(which)
    case.annotations(check, "warning", numbers, says, "fix=PATH measures it on the mask.")
    for number in numbers.tolist():
        old, new = case.facts.annotations.areas[number], round(float(outlines.areas[number]), 2)
        case.repairs.set_annotation(number, "area", new, f"area {old:g} → {new:g}, measured on the mask")


def _set_box(case: Case, number: int, box: list[float], how: str) -> None:
    rounded = [round(value, 2) for value in box]
    old = [round(value, 2) for value in case.facts.annotations.boxes_xywh[number].tolist()]
    case.repairs.set_annotation(number, "bbox", rounded, f"bbox {old} → {rounded}, {how}")


def _values(case: Case, number: int) -> dict[str, object]:
    edit = case.repairs.annotations.get(number)
    return {} if edit is None else edit.values


def _cut(xywh: Floats, limits: Floats) -> list[float]:
    low = np.clip(xywh[:2], 0, limits)
    high = np.clip(xywh[:2] + xywh[2:], 0, limits)
    return [*low.tolist(), *(high - low).tolist()]


def _most(by: Floats, which: Bools) -> str:
    return f"{float(by[which].max(initial=0)):.0f}"
