"""Annotations that cannot be learned from, as far as curves show it: what the heads agree on and what not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.prescriptions import check_data
from maskrcnn_exp.diagnose.rules.blame import long_enough
from maskrcnn_exp.diagnose.rules.evidence import curve, since, surety
from maskrcnn_exp.diagnose.rules.outcome import chance_of, recent
from maskrcnn_exp.diagnose.trends import finite, last, median
from maskrcnn_exp.diagnose.verdict import Severity, Verdict
from maskrcnn_exp.record import tags

if TYPE_CHECKING:
    from maskrcnn_exp.diagnose.trends import Curve

__all__ = [
    "boxes_do_not_fit_masks",
    "labels_do_not_fit",
    "splits_differ",
    "training_is_noisier",
]

_KINDS: Final = {"loss_classifier": "labels", "loss_mask": "masks", "loss_box_reg": "boxes"}
_ROI_LOSSES: Final = tuple(_KINDS)
"""Losses whose validation and training values agree in healthy runs: 0.8 to 1.25 times after the warm-up."""


def splits_differ(curves: Curves) -> list[Verdict]:
    """Masks or boxes are worse on validation from the start while the classifier's agree: other annotations.

    Overfitting parts the two as well, but later, more and more, and in all heads.
    """
    gaps = {loss: _gap(curves, loss) for loss in _ROI_LOSSES}
    worst = max(("loss_mask", "loss_box_reg"), key=lambda loss: np.nan_to_num(gaps[loss]))
    if not gaps["loss_classifier"] <= limits.SPLIT_GAP_CLASSES or not gaps[worst] >= limits.SPLIT_GAP:
        return []
    first = median(_ratio(curves, worst)[: limits.RECENT_LEAST])
    if not first >= limits.SPLIT_GAP:
        return []
    says = (
        f"{worst} is {gaps[worst]:.1f} times higher on the validation pictures, from the start, and loss_classifier is "
        f"not ({gaps['loss_classifier']:.2f} times): the two splits are annotated differently."
    )
    severity: Severity = "severe" if gaps[worst] >= limits.SPLIT_GAP_SEVERE else "warning"
    sure = surety(gaps[worst] / limits.SPLIT_GAP, 0.7)
    return [_split_verdict(curves, "splits_differ", worst, severity, sure, says, "splits differ")]


def training_is_noisier(curves: Curves) -> list[Verdict]:
    """One kind of annotation is harder to predict in training than on validation: it is wrong there, at random.

    A network that is shown wrong labels or masks at random cannot learn them, and does better where they are right.
    """
    gaps = {loss: _gap(curves, loss) for loss in _ROI_LOSSES}
    if not all(math.isfinite(gap) for gap in gaps.values()) or _gap(curves, "loss_objectness") >= limits.SPLIT_GAP:
        return []  # proposals that are bad on one split alone leave its heads other boxes to judge
    worst = min(gaps, key=gaps.__getitem__)
    usual = float(np.median([gap for loss, gap in gaps.items() if loss != worst]))
    relative = gaps[worst] / usual
    if max(gaps[worst], relative) > limits.NOISIER:
        return []
    says = (
        f"{worst} is lower on the validation pictures ({gaps[worst]:.2f} times the training's, the other heads' "
        f"{usual:.2f}): {_KINDS[worst]} of the training pictures are wrong at random."
    )
    severity: Severity = "severe" if max(gaps[worst], relative) <= limits.NOISIER_SEVERE else "warning"
    sure = surety(limits.NOISIER / gaps[worst], 0.7)
    return [_split_verdict(curves, "training_is_noisier", worst, severity, sure, says, f"wrong {_KINDS[worst]}?")]


def _split_verdict(
    curves: Curves, rule: str, loss: str, severity: Severity, confidence: float, says: str, brief: str
) -> Verdict:
    shown = [tags.val_loss_tag(loss), tags.train_loss_tag(loss)]
    shown += [tag(other) for other in _ROI_LOSSES if other != loss for tag in (tags.val_loss_tag, tags.train_loss_tag)]
    looked = check_data(f"compares {_KINDS[loss]} of the two splits")
    return Verdict(
        rule,
        "data",
        severity,
        confidence,
        curves.epoch(curves.settled),
        says,
        brief,
        loss,
        tuple(curve(curves, tag) for tag in shown),
        looked,
    )


def _ratio(curves: Curves, loss: str) -> Curve:
    ratio: Curve = curves.after_warmup(tags.val_loss_tag(loss)) / curves.after_warmup(tags.train_loss_tag(loss))
    return ratio


def _gap(curves: Curves, loss: str) -> float:
    """Return validation over training loss, the median since the warm-up; NaN for fewer than three epochs."""
    ratio = _ratio(curves, loss)
    return median(ratio) if len(finite(ratio)) >= limits.RECENT_LEAST else math.nan


def boxes_do_not_fit_masks(curves: Curves) -> list[Verdict]:
    """Masks are found far more precisely than boxes: the annotated boxes are not the extents of the masks.

    Training boxes are the extents of the masks here, and the evaluation uses the annotated ones. Where those were
    looked at when the run started, `boxes_beside_masks` has said it already.
    """
    if curves.facts.val_data is not None:
        return []
    boxes, masks = curves.ap("bbox", "AP75"), curves.ap("segm", "AP75")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = masks / np.maximum(boxes, limits.AP_ZERO)
    known = np.isfinite(ratio) & (masks >= limits.AP75_LEAST)
    if known.sum() < 2 or not ratio[known][-2:].min() >= limits.BOX_MASK_AP75:
        return []
    least = float(ratio[known][-2:].min())
    severity: Severity = "severe" if least >= limits.BOX_MASK_AP75_SEVERE else "warning"
    says = (
        f"Masks are found {least:.1f} times more precisely than boxes (AP75 {last(masks):.3f} and {last(boxes):.3f}): "
        "the annotated boxes are not the extents of their masks."
    )
    evidence = (curve(curves, tags.map_tag("bbox", "AP75")), curve(curves, tags.map_tag("segm", "AP75")))
    return [
        Verdict(
            "boxes_do_not_fit_masks",
            "data",
            severity,
            surety(least / limits.BOX_MASK_AP75, 0.7),
            since(curves, ~(ratio < limits.BOX_MASK_AP75)),
            says,
            "boxes do not fit the masks",
            "bbox_ap",
            evidence,
            check_data("lists boxes that are not the extents of their masks; fix=PATH writes them anew"),
        )
    ]


def labels_do_not_fit(curves: Curves) -> list[Verdict]:
    """Masks and RPN are learned well and the classes are not: some labels are wrong."""
    share, accuracy = median(curves.shares["loss_classifier"][-2:]), last(curves["mask/accuracy"])
    level = median(curves.train("loss_classifier")[-2:]) / chance_of(curves, "loss_classifier")
    now = recent(curves, curves.train("loss_classifier"))
    early = not long_enough(curves) or (curves.done or 1) < limits.LATE
    if early or now is None or not share >= limits.LABELS_SHARE or not accuracy >= limits.HEAD_HAS_LEARNED:
        return []
    if not level >= limits.LABELS_LEVEL or curves.facts.classes == 1:
        return []
    says = (
        f"Masks are learned ({accuracy:.0%} of the pixels) and classes are not: loss_classifier is {share:.0%} of the "
        f"total and {level:.0%} of a guess: some labels are wrong."
    )
    return [
        Verdict(
            "labels_do_not_fit",
            "data",
            "warning",
            surety(share / limits.LABELS_SHARE, 0.65),
            curves.epoch(-1),
            says,
            "labels do not fit",
            "loss_classifier",
            (
                curve(
                    curves,
                    tags.train_loss_tag("loss_classifier"),
                    f"a guess: {chance_of(curves, 'loss_classifier'):.2f}",
                ),
                curve(curves, tags.share_tag("loss_classifier"), document="0.20–0.30"),
                curve(curves, "mask/accuracy"),
            ),
            check_data("class balance, names that occur twice, objects annotated twice with two classes"),
        )
    ]
