"""Too few objects among the proposals: the box and mask heads learn from foreground alone."""

from __future__ import annotations

from typing import Final

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.prescriptions import check_data
from maskrcnn_exp.diagnose.rules.evidence import curve, number, since, surety
from maskrcnn_exp.diagnose.rules.outcome import chance_of
from maskrcnn_exp.diagnose.trends import finite, last
from maskrcnn_exp.diagnose.verdict import Evidence, Verdict
from maskrcnn_exp.record import tags

__all__ = ["background_wins", "few_foreground", "no_foreground"]

_TAG: Final = "roi/foreground"


def no_foreground(curves: Curves) -> list[Verdict]:
    """Hardly any proposal is an object: the annotations do not reach the training, or no anchor fits them."""
    return _scarce(
        curves,
        "no_foreground",
        limits.EMPTY_FOREGROUND,
        "severe",
        "so the box and mask heads learn nothing: annotations are missing or in the wrong format, or no anchor fits "
        "the objects",
    )


def few_foreground(curves: Curves) -> list[Verdict]:
    """Few proposals are objects: the mask head sees little."""
    if last(curves[_TAG]) < limits.EMPTY_FOREGROUND:
        return []
    return _scarce(
        curves,
        "few_foreground",
        limits.FEW_FOREGROUND,
        "warning",
        "so the mask head learns from little: objects may be too small for the anchors, or few are annotated",
    )


def _scarce(curves: Curves, rule: str, least: float, severity: str, consequence: str) -> list[Verdict]:
    values = curves[_TAG]
    known = finite(values)
    if len(known) < limits.SETTLED_EPOCHS or len(curves) <= curves.settled or not known[-2:].max() < least:
        return []
    return [
        Verdict(
            rule,
            "data",
            "severe" if severity == "severe" else "warning",
            surety(least / max(float(known[-1]), least / 16), 0.7),
            since(curves, ~(values >= least)),
            f"{known[-1]:.2g} of a picture's proposals are objects, {consequence}.",
            "hardly any object among the proposals",
            "loss_mask",
            (curve(curves, _TAG, "foreground proposals per picture"), *_of_sampled(curves, float(known[-1]))),
            check_data("lists empty pictures, missing categories and objects too small for the anchors"),
        )
    ]


def _of_sampled(curves: Curves, foreground: float) -> tuple[Evidence, ...]:
    sampled = curves.facts.sampled_proposals
    if not sampled:
        return ()
    return (number("share of the sampled proposals", foreground / sampled, f"of {sampled} per picture"),)


def background_wins(curves: Curves) -> list[Verdict]:
    """The classifier has learned to say background: its loss is low, and no box is found."""
    boxes, chance = finite(curves.ap("bbox")), chance_of(curves, "loss_classifier")
    level = last(curves.train("loss_classifier"))
    sampled, foreground = curves.facts.sampled_proposals, last(curves[_TAG])
    settled = len(curves) > curves.settled + limits.RECENT_LEAST
    if not settled or len(boxes) < limits.AP_ZERO_EVALUATIONS or boxes.max() >= limits.AP_OF_NOTHING:
        return []
    if not sampled or not foreground < limits.BACKGROUND_SHARE * sampled or not level < limits.GOOD_LOSS * chance:
        return []
    return [
        Verdict(
            "background_wins",
            "box",
            "severe",
            0.75,
            curves.epoch(curves.settled),
            f"The classifier says background to everything: {foreground:.1f} of {sampled} sampled proposals are "
            f"objects, its loss is {level:.3g}, and box AP is {boxes[-1]:.3f}.",
            "background wins",
            "loss_classifier",
            (
                curve(curves, tags.train_loss_tag("loss_classifier")),
                curve(curves, _TAG),
                curve(curves, tags.map_tag("bbox", "AP")),
            ),
            check_data("counts the objects that no anchor fits"),
        )
    ]
