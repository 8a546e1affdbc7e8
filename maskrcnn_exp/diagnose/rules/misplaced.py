"""Annotations beside their objects: nothing precise can be learned from them, whatever the rates are."""

from __future__ import annotations

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import HEADS, Curves
from maskrcnn_exp.diagnose.prescriptions import check_data
from maskrcnn_exp.diagnose.rules.blame import MASK, blame
from maskrcnn_exp.diagnose.rules.evidence import curve, surety
from maskrcnn_exp.diagnose.rules.outcome import chance_of, learns_nothing, mask_level
from maskrcnn_exp.diagnose.trends import finite, last
from maskrcnn_exp.diagnose.verdict import Verdict
from maskrcnn_exp.record import tags

__all__ = ["annotations_off_objects"]


def annotations_off_objects(curves: Curves) -> list[Verdict]:
    """The RPN tells objects from background, and neither boxes nor masks can be learned at healthy rates.

    A shift that is the same in all pictures can be learned, but mirrored pictures turn it round: then it is noise.
    """
    seen = last(curves.train("loss_objectness")) / chance_of(curves, "loss_objectness")
    early = len(finite(curves.after_warmup(MASK))) < limits.RECENT_LEAST or not curves.has(tags.map_tag("bbox", "AP"))
    if early or not seen <= limits.OBJECTS_SEEN or not mask_level(curves) >= limits.STUCK:
        return []
    if not learns_nothing(curves) or not _rates_are_healthy(curves):
        return []
    boxes = float(finite(curves.ap("bbox")).max())
    says = (
        f"The RPN sees the objects (loss_objectness is {seen:.0%} of a guess), the heads move as in a run that learns, "
        f"and neither masks ({mask_level(curves):.0%} of a guess) nor boxes (AP {boxes:.3f}) are learned: annotations "
        "do not lie on their objects, or the pictures show little of them."
    )
    shown = (
        curve(curves, tags.train_loss_tag("loss_objectness")),
        curve(curves, MASK),
        curve(curves, tags.train_loss_tag("loss_box_reg")),
        curve(curves, tags.map_tag("bbox", "AP")),
        *(curve(curves, tags.update_ratio_tag(head)) for head in HEADS),
    )
    late = (curves.done or 0) >= limits.LATE
    return [
        Verdict(
            "annotations_off_objects",
            "data",
            "severe" if late else "warning",
            surety(mask_level(curves) / limits.STUCK, 0.7 if late else 0.6),
            curves.epoch(curves.settled),
            says,
            "annotations beside the objects?",
            "loss_mask",
            shown,
            check_data("masks against boxes and picture sizes; its contact sheet shows where they lie"),
        )
    ]


def _rates_are_healthy(curves: Curves) -> bool:
    paces = [curves.pace(head) for head in HEADS]
    middle = float(np.median(paces))
    return limits.NORMAL_PACE <= middle < limits.TOO_FAST and blame(curves) == "data"
