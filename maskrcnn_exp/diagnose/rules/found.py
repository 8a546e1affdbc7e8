"""What the data was found to be when the run started: known before the first step, and wrong whatever losses say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.prescriptions import check_data, more_variety
from maskrcnn_exp.diagnose.rules.evidence import number, surety
from maskrcnn_exp.diagnose.verdict import Evidence, Prescription, Severity, Verdict

if TYPE_CHECKING:
    from maskrcnn_exp.data.target import BoxFit
    from maskrcnn_exp.record.data_found import DataFound

__all__ = ["annotations_left_out", "boxes_beside_masks", "few_pictures"]


def _splits(curves: Curves) -> dict[str, DataFound]:
    found = {"training": curves.facts.train_data, "validation": curves.facts.val_data}
    return {name: data for name, data in found.items() if data is not None}


def annotations_left_out(curves: Curves) -> list[Verdict]:
    """Annotations that cannot be used were left out: what they show is taught as background."""
    lost = {
        name: data.annotations_left_out / (data.annotations_left_out + data.instances)
        for name, data in _splits(curves).items()
        if data.annotations_left_out
    }
    if not lost or max(lost.values()) < limits.LEFT_OUT:
        return []
    worst = max(lost, key=lost.__getitem__)
    reasons = _splits(curves)[worst].left_out
    reason = max(reasons, key=reasons.__getitem__)
    says = (
        f"{lost[worst]:.0%} of the {worst} annotations cannot be used and were left out, most of them for: {reason}. "
        "The objects are still in the pictures, and the network learns that they are background."
    )
    severity: Severity = "severe" if lost[worst] >= limits.LEFT_OUT_SEVERE else "warning"
    evidence = tuple(number(f"left out of {name}", share) for name, share in lost.items())
    sure = surety(lost[worst] / limits.LEFT_OUT, 0.8)
    looked = check_data("lists them with their ids; fix=PATH writes what can be repaired")
    return [_verdict(curves, "annotations_left_out", severity, sure, says, "annotations left out", evidence, looked)]


def boxes_beside_masks(curves: Curves) -> list[Verdict]:
    """Annotated boxes are not the extents of their masks: one of the two is wrong."""
    fits = {name: data.boxes for name, data in _splits(curves).items() if data.boxes is not None}
    off = {name: fit.off for name, fit in fits.items() if fit.looked_at >= limits.BOXES_LEAST}
    if not off or max(off.values()) < limits.BOXES_OFF:
        return []
    worst = max(off, key=off.__getitem__)
    says = (
        f"{off[worst]:.0%} of the annotated boxes are not the extents of their masks ({fits[worst].looked_at} {worst} "
        f"annotations looked at): {_how(fits[worst])}. One of the two is wrong."
    )
    severity: Severity = "severe" if off[worst] >= limits.BOXES_OFF_SEVERE else "warning"
    evidence = tuple(
        number(f"{what}, {name}", value)
        for name, fit in fits.items()
        for what, value in (("boxes that do not fit", fit.off), ("median IoU of box and mask", fit.median_iou))
    )
    sure = surety(off[worst] / limits.BOXES_OFF, 0.75)
    looked = check_data("names each of them and shows the worst; fix=PATH measures boxes on the masks")
    return [_verdict(curves, "boxes_beside_masks", severity, sure, says, "boxes and masks differ", evidence, looked)]


def _how(fit: BoxFit) -> str:
    if fit.median_size <= limits.MASKS_SMALL:
        return f"masks fill {fit.median_size:.0%} of the box's size, as if they had been eroded"
    if fit.beside >= 0.5:
        return f"masks lie elsewhere than the boxes, IoU {fit.median_iou:.2f}, as after a shift or mixed-up ids"
    return f"edges are off, IoU {fit.median_iou:.2f}"


def few_pictures(curves: Curves) -> list[Verdict]:
    """So few training pictures that the network will know them by heart."""
    found = curves.facts.train_data
    if found is None or not 0 < found.images < limits.FEW_PICTURES:
        return []
    says = (
        f"{found.images} training pictures with {found.instances} objects: the network learns them by heart, and what "
        "it learns does not carry over."
    )
    evidence = (number("training pictures", found.images), number("objects", found.instances))
    sure = surety(limits.FEW_PICTURES / found.images, 0.7)
    return [_verdict(curves, "few_pictures", "warning", sure, says, "few pictures", evidence, _more_of_them(curves))]


def _more_of_them(curves: Curves) -> Prescription:
    """Vary the pictures; where that is done already, nothing but more of them helps."""
    varied = more_variety(curves, "other sizes and colours of the same pictures are the next best thing")
    return varied or check_data("counts objects and pictures of each split; more of them are needed")


def _verdict(
    curves: Curves,
    rule: str,
    severity: Severity,
    confidence: float,
    says: str,
    brief: str,
    evidence: tuple[Evidence, ...],
    prescription: Prescription,
) -> Verdict:
    """All of these hold from the first epoch on, and belong to the data."""
    first = curves.epoch(0)
    return Verdict(rule, "data", severity, confidence, first, says, brief, "total", evidence, prescription)
