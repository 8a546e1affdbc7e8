"""The five losses against each other and against the document's typical figures."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import HEADS, Curves
from maskrcnn_exp.diagnose.document import FINAL, RANGE, SHARE, SHARE_STRUGGLING, SHARE_UNDERTRAINED, spans
from maskrcnn_exp.diagnose.prescriptions import check_data, different_mult
from maskrcnn_exp.diagnose.rules.blame import blame_words, long_enough, mask_evidence, mended
from maskrcnn_exp.diagnose.rules.evidence import curve, since, surety
from maskrcnn_exp.diagnose.rules.outcome import box_ap_is_good, chance_of, mask_level, recent, still_rising
from maskrcnn_exp.diagnose.trends import finite, last, median
from maskrcnn_exp.diagnose.verdict import Evidence, Prescription, Severity, Verdict
from maskrcnn_exp.model.parts import LOSS_OWNER, LOSSES
from maskrcnn_exp.record import tags

__all__ = [
    "all_losses_high",
    "loss_stays_high",
    "mask_share_high",
    "mask_share_low",
    "typical_shares",
    "typical_values",
]

_WORDS: Final = {
    "loss_objectness": "the RPN struggles to tell objects from background",
    "loss_rpn_box_reg": "the RPN does not find where objects are",
    "loss_classifier": "the box head cannot tell the classes apart",
    "loss_box_reg": "boxes are not precise",
    "loss_mask": "masks are not learned",
}


def _mask_share(curves: Curves) -> Evidence:
    tag = tags.share_tag("loss_mask")
    bounds = f"{spans(SHARE['loss_mask'])}, undertrained below {SHARE_UNDERTRAINED:.2f}, struggling above 0.50"
    values = tuple(float(value) for value in curves.shares["loss_mask"])
    return Evidence("share of loss_mask", values, "of the total", bounds, tag)


def mask_share_high(curves: Curves) -> list[Verdict]:
    """More than half of the total is loss_mask: it struggles, where it is high by its own measure too."""
    share = median(curves.shares["loss_mask"][curves.settled :][-2:])
    if not share > SHARE_STRUGGLING:
        return []
    struggles = mask_level(curves) >= limits.HIGH_MASK and curves.fit() < limits.HEALTHY_FIT
    severity: Severity = "warning" if struggles else "info"
    how = blame_words(curves) if struggles else "no fault in itself: by its own measures it learns"
    return [
        Verdict(
            "mask_share_high",
            "mask",
            severity,
            surety(share / SHARE_STRUGGLING),
            since(curves, ~(curves.shares["loss_mask"] <= SHARE_STRUGGLING)),
            f"loss_mask is {share:.0%} of the total, above the document's 50 %: {how}.",
            f"{share:.0%} of the total",
            "loss_mask",
            (_mask_share(curves), *mask_evidence(curves)),
            mended(curves) if struggles else None,
        )
    ]


def mask_share_low(curves: Curves) -> list[Verdict]:
    """Less than a fifth of the total is loss_mask: undertrained by the document, where masks are bad too."""
    share = median(curves.shares["loss_mask"][curves.settled :][-2:])
    if not share < SHARE_UNDERTRAINED:
        return []
    bad = box_ap_is_good(curves) and curves.fit() < limits.LOW_FIT
    how = blame_words(curves) if bad else "no fault in itself: nothing else says that the mask head is undertrained"
    return [
        Verdict(
            "mask_share_low",
            "mask",
            "warning" if bad else "info",
            surety(SHARE_UNDERTRAINED / share),
            since(curves, ~(curves.shares["loss_mask"] >= SHARE_UNDERTRAINED)),
            f"loss_mask is {share:.0%} of the total, below the document's 20 %: {how}.",
            f"{share:.0%} of the total",
            "loss_mask",
            (_mask_share(curves), *(mask_evidence(curves) if bad else ())),
            mended(curves) if bad else None,
        )
    ]


def typical_shares(curves: Curves) -> list[Verdict]:
    """Shares outside of the document's, side by side; a comparison, not a fault."""
    outside = []
    for loss in LOSSES:
        share = median(curves.shares[loss][curves.settled :][-2:])
        if math.isfinite(share) and not SHARE[loss][0] <= share <= SHARE[loss][1]:
            values = tuple(float(value) for value in curves.shares[loss])
            outside.append(Evidence(f"share of {loss}", values, "", spans(SHARE[loss]), tags.share_tag(loss)))
    return _comparison(curves, "typical_shares", "shares of the total", outside)


def typical_values(curves: Curves) -> list[Verdict]:
    """Losses outside of the document's range, or of its final values once the run is over; a comparison."""
    over = (curves.done or 0) >= 1
    figures, when = (FINAL, "at the end") if over else (RANGE, "while training")
    outside = []
    for loss in LOSSES:
        value = last(curves.after_warmup(tags.train_loss_tag(loss)))
        if math.isfinite(value) and not figures[loss][0] <= value <= figures[loss][1]:
            document = f"{spans(figures[loss])} {when}"
            outside.append(curve(curves, tags.train_loss_tag(loss), document=document))
    return _comparison(curves, "typical_values", "losses", outside)


def _comparison(curves: Curves, rule: str, what: str, outside: list[Evidence]) -> list[Verdict]:
    if not outside:
        return []
    says = (
        f"{len(outside)} of 5 {what} are outside of the document's typical figures, which depend on the data: "
        "no fault in itself."
    )
    return [Verdict(rule, "run", "info", 0.5, curves.epoch(-1), says, "", "", tuple(outside))]


def loss_stays_high(curves: Curves) -> list[Verdict]:
    """A head's loss stays near a guess, late, and does not fall any more.

    While box AP rises the loss says little: the classifier's own rises as the RPN proposes more objects.
    """
    if not long_enough(curves) or (curves.done or 1) < limits.LATE or still_rising(curves, curves.ap("bbox")):
        return []
    return [verdict for loss in ("loss_objectness", "loss_classifier") for verdict in _stays_high(curves, loss)]


def _stays_high(curves: Curves, loss: str) -> list[Verdict]:
    chance, value, now = chance_of(curves, loss), median(curves.train(loss)[-2:]), recent(curves, curves.train(loss))
    if now is None or not value >= limits.STUCK * chance or now.falls(limits.STILL_LEARNING):
        return []
    part = LOSS_OWNER[loss]
    return [
        Verdict(
            "loss_stays_high",
            part,
            "warning",
            surety(value / (limits.STUCK * chance)),
            curves.epoch(curves.settled),
            f"{loss} stays at {value:.3g}, {value / chance:.0%} of a guess: {_WORDS[loss]}.",
            "stays high",
            loss,
            (
                curve(
                    curves, tags.train_loss_tag(loss), f"a guess: {chance:.3f}", f"{spans(RANGE[loss])} while training"
                ),
                curve(curves, tags.update_ratio_tag(part)),
            ),
            _faster_or_data(curves, part),
        )
    ]


def _faster_or_data(curves: Curves, part: str) -> Prescription:
    for head in HEADS:
        if head == part and min(
            (curves.pace(o) for o in curves.others(head)), default=0
        ) > limits.SLOWISH * curves.pace(head):
            times = curves.times_behind(head)
            why = f"{times:.1f} times behind the other heads; the best runs are at {limits.BEST_RATIO[head]:g}"
            return different_mult(curves, head, times / limits.BEST_RATIO[head], why)
    return check_data("objects too small for the anchors, wrong or missing labels")


def all_losses_high(curves: Curves) -> list[Verdict]:
    """Every head is near a guess and no box is found: no single head is to blame."""
    levels = {loss: median(curves.train(loss)[-2:]) / chance_of(curves, loss) for loss in LOSSES}
    known = [level for level in levels.values() if math.isfinite(level)]
    boxes = finite(curves.ap("bbox"))
    nothing = not len(boxes) or boxes.max() < limits.AP_OF_NOTHING
    late = len(curves) >= curves.settled + limits.JUDGED_EPOCHS
    if not late or len(known) < 2 or min(known) < limits.STUCK or not nothing:
        return []
    evidence = tuple(
        curve(
            curves, tags.train_loss_tag(loss), f"{levels[loss]:.0%} of a guess", f"{spans(RANGE[loss])} while training"
        )
        for loss in LOSSES
        if math.isfinite(levels[loss])
    )
    paces = [pace for pace in map(curves.pace, HEADS) if math.isfinite(pace)]
    normal = bool(paces) and limits.TOO_SLOW < float(np.median(paces)) < limits.TOO_FAST
    says = "All losses stay near a guess and no object is found: an overall problem" + (
        ", and not the learning rate: the weights move as in a healthy run, so look at pictures and annotations."
        if normal
        else "."
    )
    return [
        Verdict(
            "all_losses_high",
            "run",
            "severe",
            surety(min(known) / limits.STUCK, 0.75),
            curves.epoch(curves.settled),
            says,
            "all losses high",
            "total",
            evidence,
            check_data("pictures and annotations that do not belong together"),
        )
    ]
