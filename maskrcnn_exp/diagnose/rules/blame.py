"""Bad masks have two causes, the mask head's learning rate or the masks it is shown; update ratios tell them apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.document import FINAL, spans
from maskrcnn_exp.diagnose.prescriptions import check_data, different_mult
from maskrcnn_exp.diagnose.rules.evidence import curve
from maskrcnn_exp.diagnose.rules.outcome import chance_of, mask_level
from maskrcnn_exp.diagnose.trends import finite, last, log_drop
from maskrcnn_exp.diagnose.verdict import Verdict
from maskrcnn_exp.record import tags

if TYPE_CHECKING:
    from maskrcnn_exp.diagnose.curves import Curves
    from maskrcnn_exp.diagnose.verdict import Evidence, Prescription, Severity

__all__ = [
    "MASK",
    "blame",
    "blame_words",
    "long_enough",
    "mask_evidence",
    "mask_verdict",
    "mended",
    "speed",
    "still_bad",
]

MASK = tags.train_loss_tag("loss_mask")


def blame(curves: Curves) -> Literal["rate", "data", "unknown"]:
    """Say what makes masks bad: the rate where the mask head moves slower than the others, else the data."""
    pace = curves.pace("mask")
    others = [curves.pace(head) for head in curves.others("mask")]
    if not pace > 0 or not others:
        return "unknown"
    return "rate" if min(others) / pace >= limits.SLOWISH else "data"


def blame_words(curves: Curves) -> str:
    """Return the end of a sentence that names the cause."""
    return {
        "rate": f"its weights move {curves.times_behind('mask'):.0f} times slower than the other heads'",
        "data": "its weights move as fast as the other heads', so it is shown masks that cannot be learned",
        "unknown": "its learning rate is too low, or its masks are wrong",
    }[blame(curves)]


def mended(curves: Curves) -> Prescription | None:
    """Return the prescription against the cause."""
    match blame(curves):
        case "data":
            return check_data("masks that do not fit their boxes, empty, shifted or swapped ones")
        case "rate":
            times = curves.times_behind("mask")
            best = limits.BEST_RATIO["mask"]
            why = f"{times:.1f} times behind the other heads; the best runs are at {best:g}"
            return different_mult(curves, "mask", times / best, why)
        case _:
            factor = slowness(curves)
            why = f"the other losses fall {factor:.1f} times as fast as loss_mask"
            return different_mult(curves, "mask", factor, why)


def slowness(curves: Curves) -> float:
    """Return how many times faster the other heads' losses fall than loss_mask, between 2 and 10.

    Without update ratios it is the only measure of how far the rate is off.
    """
    own = speed(curves, "loss_mask")
    others = [speed(curves, loss) for loss in ("loss_objectness", "loss_classifier")]
    falling = [other for other in others if other > 0]
    if not falling:
        return 2.0
    return float(min(10.0, max(2.0, min(falling) / max(own, 1e-3))))


def speed(curves: Curves, loss: str) -> float:
    """Return how far a training loss fell since the warm-up, as a logarithm; NaN where that is unknown."""
    return log_drop(curves.after_warmup(tags.train_loss_tag(loss)))


def still_bad(curves: Curves) -> bool:
    """Say whether masks may be to blame: loss_mask is high, and mask AP does not say that they are good."""
    return mask_level(curves) >= limits.HIGH_MASK and not curves.fit() >= limits.HEALTHY_FIT


def long_enough(curves: Curves) -> bool:
    """Say whether loss_mask had time to fall: settled epochs in number, and as a share of the plan."""
    settled = len(finite(curves.after_warmup(MASK)))
    planned = curves.facts.epochs or 0
    return settled >= max(limits.JUDGED_EPOCHS, math.ceil(limits.JUDGED_SHARE * planned))


def mask_evidence(curves: Curves) -> tuple[Evidence, ...]:
    """Return the mask head's loss beside those it is compared with, and beside its AP."""
    chance = chance_of(curves, "loss_mask")
    now = f"{last(curves.train('loss_mask')) / chance:.0%} of chance" if math.isfinite(chance) else ""
    shown = [curve(curves, MASK, now, f"{spans(FINAL['loss_mask'])} at the end")]
    compared = ("loss_classifier", "loss_objectness")
    shown += [
        curve(curves, tags.train_loss_tag(loss), document=f"{spans(FINAL[loss])} at the end") for loss in compared
    ]
    shown += [curve(curves, tags.map_tag(kind, "AP")) for kind in ("segm", "bbox")]
    shown += [curve(curves, tags.update_ratio_tag(part)) for part in ("mask", "box", "rpn")]
    return tuple(evidence for evidence in shown if curves.has(evidence.tag))


def mask_verdict(
    curves: Curves,
    rule: str,
    severity: Severity,
    confidence: float,
    says: str,
    brief: str,
    *,
    since_epoch: int | None = None,
    line: str = "loss_mask",
    evidence: tuple[Evidence, ...] | None = None,
    prescription: Prescription | None = None,
) -> Verdict:
    start = curves.epoch(min(curves.settled, len(curves) - 1)) if since_epoch is None else since_epoch
    shown = mask_evidence(curves) if evidence is None else evidence
    return Verdict(rule, "mask", severity, confidence, start, says, brief, line, shown, prescription or mended(curves))
