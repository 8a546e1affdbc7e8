"""The mask head by its loss and its AP: the document's problems, each against chance, noise and the other heads."""

from __future__ import annotations

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.prescriptions import check_data
from maskrcnn_exp.diagnose.rules.blame import MASK, blame_words, long_enough, mask_evidence, mask_verdict
from maskrcnn_exp.diagnose.rules.evidence import curve, number, since, surety
from maskrcnn_exp.diagnose.rules.outcome import (
    at_chance,
    box_ap_is_good,
    chance_of,
    learns_nothing,
    mask_level,
    masks_bad,
    recent,
    share_of_highest,
)
from maskrcnn_exp.diagnose.trends import finite, last
from maskrcnn_exp.diagnose.verdict import Prescription, Severity, Verdict
from maskrcnn_exp.record import tags

__all__ = [
    "boxes_good_masks_bad",
    "high_loss_low_ap",
    "low_loss_low_ap",
    "mask_ap_does_not_follow",
    "masks_all_background",
    "masks_at_chance",
]


def masks_at_chance(curves: Curves) -> list[Verdict]:
    """loss_mask stays what a head scores that says 0.5 everywhere, while the boxes are learned."""
    late = len(finite(curves.after_warmup(MASK))) >= limits.RECENT_LEAST
    if not late or not at_chance(curves, "loss_mask") or learns_nothing(curves):
        return []
    chance, value = chance_of(curves, "loss_mask"), last(curves.train("loss_mask"))
    says = f"loss_mask stays at {value:.3f}, a guess scores {chance:.3f}: {blame_words(curves)}."
    return [
        mask_verdict(
            curves, "masks_at_chance", "severe", surety(value / chance / limits.AT_CHANCE, 0.85), says, "a guess"
        )
    ]


def mask_ap_does_not_follow(curves: Curves) -> list[Verdict]:
    """loss_mask falls while mask AP does not rise: what is learned is not what is evaluated."""
    loss, ap = recent(curves, curves.train("loss_mask")), recent(curves, curves.ap("segm"))
    if loss is None or ap is None or not loss.falls(limits.FLAT) or not -ap.drop < limits.AP_NOISE:
        return []
    held_out = recent(curves, curves.val("loss_mask"))
    if held_out is not None and held_out.rises(limits.OVERFIT):
        return []  # the mask head overfits: another rule's
    low = curves.fit() < limits.LOW_FIT or not box_ap_is_good(curves)
    says = (
        f"loss_mask fell by {loss.relative_drop:.0%} over the last {loss.points} epochs and mask AP did not rise "
        f"({ap.start:.3f} → {ap.end:.3f})" + (": look at the data's quality." if low else ": it has come to its end.")
    )
    looked = check_data("masks that disagree between the splits, or with their boxes")
    return [
        mask_verdict(
            curves,
            "mask_ap_does_not_follow",
            "warning" if low else "info",
            0.6,
            says,
            "loss falls, AP does not",
            line="segm_ap",
            since_epoch=curves.epoch(len(curves) - loss.points),
            prescription=looked,
        )
    ]


def high_loss_low_ap(curves: Curves) -> list[Verdict]:
    """Masks are much worse than their boxes and loss_mask is high: the mask head is undertrained."""
    fit = curves.fit()
    if not masks_bad(curves):
        return []
    severity: Severity = "severe" if fit < limits.LOW_FIT_SEVERE else "warning"
    says = (
        f"Boxes are good and masks are bad: mask AP is {fit:.0%} of box AP and loss_mask is high "
        f"({last(curves.train('loss_mask')):.3f}): the mask head is undertrained; {blame_words(curves)}."
    )
    return [
        mask_verdict(
            curves,
            "high_loss_low_ap",
            severity,
            surety(limits.LOW_FIT / fit, 0.7),
            says,
            f"masks at {fit:.0%} of the boxes",
            since_epoch=_low_fit_since(curves),
            line="segm_ap",
        )
    ]


def low_loss_low_ap(curves: Curves) -> list[Verdict]:
    """Masks are much worse than their boxes although loss_mask is low: the wrong loss, or the data."""
    fit, level = curves.fit(), mask_level(curves)
    if not fit < limits.LOW_FIT or not box_ap_is_good(curves) or not level < limits.HIGH_MASK:
        return []
    missed, added = last(curves["mask/false_negative"]), last(curves["mask/false_positive"])
    small = missed > limits.MISSES_MORE * added
    says = (
        f"mask AP is only {fit:.0%} of box AP although loss_mask is low ({last(curves.train('loss_mask')):.3f}): "
        + ("the loss forgives missed object pixels." if small else "the loss or the masks of the data are wrong.")
    )
    dice = Prescription(
        ("model/mask_loss=bce_dice",), f"{missed:.0%} of the object pixels are missed, {added:.0%} added"
    )
    severity: Severity = "severe" if fit < limits.LOW_FIT_SEVERE and level < limits.GOOD_LOSS else "warning"
    telemetry = tuple(curve(curves, f"mask/{name}") for name in ("accuracy", "false_negative", "false_positive"))
    return [
        mask_verdict(
            curves,
            "low_loss_low_ap",
            severity,
            surety(limits.LOW_FIT / fit, 0.65),
            says,
            "low loss, low mask AP",
            since_epoch=_low_fit_since(curves),
            line="segm_ap",
            evidence=(*mask_evidence(curves), *telemetry),
            prescription=dice
            if small
            else check_data("masks of the two splits, and masks that do not fit their boxes"),
        )
    ]


def _low_fit_since(curves: Curves) -> int:
    boxes, masks = curves.ap("bbox"), curves.ap("segm")
    with np.errstate(divide="ignore", invalid="ignore"):
        fine = (masks / boxes >= limits.LOW_FIT) | (boxes < limits.AP_MEANS_SOMETHING)
    return since(curves, ~fine)


def boxes_good_masks_bad(curves: Curves) -> list[Verdict]:
    """Box losses have come down and loss_mask has not; for records without COCO numbers."""
    if curves.has(tags.map_tag("segm", "AP")) or not long_enough(curves):
        return []
    boxes = {loss: share_of_highest(curves.train(loss)) for loss in ("loss_objectness", "loss_classifier")}
    if not max(boxes.values()) < limits.GOOD_BOX_LOSSES or not mask_level(curves) >= limits.STUCK:
        return []
    says = (
        f"Box losses are good and the mask loss is bad: loss_mask {last(curves.train('loss_mask')):.3f} is "
        f"{mask_level(curves):.0%} of a guess, the others fell to {max(boxes.values()):.0%} of their highest; "
        f"{blame_words(curves)}."
    )
    return [
        mask_verdict(
            curves,
            "boxes_good_masks_bad",
            "severe",
            surety(mask_level(curves) / limits.STUCK, 0.7),
            says,
            "boxes good, masks bad",
        )
    ]


def masks_all_background(curves: Curves) -> list[Verdict]:
    """The mask head says background nearly everywhere inside the boxes."""
    missed = finite(curves["mask/false_negative"])
    if len(missed) < 3 or not missed[-2:].min() > limits.BACKGROUND_MASKS:
        return []
    says = f"The mask head says background everywhere: it misses {missed[-1]:.0%} of the object pixels."
    telemetry = tuple(curve(curves, f"mask/{name}") for name in ("false_negative", "false_positive", "accuracy"))
    dice = Prescription(("model/mask_loss=bce_dice",), "Dice looks at the overlap: background alone has none")
    return [
        mask_verdict(
            curves,
            "masks_all_background",
            "severe",
            surety(float(missed[-1]) / limits.BACKGROUND_MASKS, 0.85),
            says,
            "all background",
            evidence=(*telemetry, number("of chance", mask_level(curves))),
            prescription=dice,
        )
    ]
