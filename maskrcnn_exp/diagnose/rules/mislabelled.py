"""Wrong labels and missing annotations, by what the network answers for single objects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.prescriptions import check_data
from maskrcnn_exp.diagnose.rules.evidence import curve, since, surety
from maskrcnn_exp.diagnose.trends import finite, last
from maskrcnn_exp.diagnose.verdict import Severity, Verdict
from maskrcnn_exp.record import tags

if TYPE_CHECKING:
    from maskrcnn_exp.diagnose.trends import Curve

__all__ = ["labels_are_noisy", "objects_unannotated"]


def labels_are_noisy(curves: Curves) -> list[Verdict]:
    """Objects are told apart worse on the training pictures than on the validation's: labels there are wrong at random.

    Training pictures are those that the network knows. Only where their labels contradict each other it does worse,
    until it has learned the wrong ones by heart, so that the three epochs of the widest gap count.
    """
    seen, unseen = curves["roi/class_accuracy"], curves["roi/val_class_accuracy"]
    if curves.facts.classes == 1 or len(curves) < 2:
        return []
    # The training's is a mean over the epoch, the validation's of its end: half-way between two ends they compare.
    between = np.concatenate([[np.nan], (unseen[1:] + unseen[:-1]) / 2])
    gaps = (between - seen)[curves.settled :]
    gap, place = _widest(gaps)
    if not gap >= limits.LABELS_NOISY:
        return []
    says = (
        f"Objects of the training pictures are told apart worse than those of the validation's, by {100 * gap:.0f} "
        "points of accuracy: labels of the training pictures are wrong at random."
    )
    severity: Severity = "severe" if gap >= limits.LABELS_NOISY_SEVERE else "warning"
    evidence = (
        curve(curves, "roi/class_accuracy", "of the foreground proposals, training"),
        curve(curves, "roi/val_class_accuracy", "validation"),
        curve(curves, tags.train_loss_tag("loss_classifier")),
        curve(curves, tags.val_loss_tag("loss_classifier")),
    )
    start = curves.epoch(curves.settled + place)
    sure = surety(gap / limits.LABELS_NOISY, 0.7)
    looked = check_data("class balance, names that occur twice, objects annotated twice with two classes")
    line = "loss_classifier"
    return [Verdict("labels_are_noisy", "data", severity, sure, start, says, "wrong labels?", line, evidence, looked)]


def _widest(gaps: Curve) -> tuple[float, int]:
    """Return the median of the three neighbouring known gaps that is widest, and the place where they begin.

    One evaluation out of line moves two of them, so the third must be half as wide at least. NaN without such three.
    """
    places = np.flatnonzero(np.isfinite(gaps))
    if len(places) < limits.RECENT_LEAST:
        return math.nan, 0
    threes = np.lib.stride_tricks.sliding_window_view(gaps[places], limits.RECENT_LEAST)
    medians = np.where(threes.min(axis=1) >= limits.LABELS_NOISY / 2, np.median(threes, axis=1), -np.inf)
    widest = int(medians.argmax())
    return float(medians[widest]), int(places[widest])


def objects_unannotated(curves: Curves) -> list[Verdict]:
    """Objects are found that count as wrong: the most certain detections are right, or lie on no object at all."""
    found = curves[tags.certain_error_tag("background")]
    right = 1 - np.sum([curves[tags.certain_error_tag(kind)] for kind in tags.CERTAIN_ERRORS], axis=0)
    now = finite(found[curves.settled :])[-2:]
    if len(now) < 2 or not now.min() >= limits.UNANNOTATED or not last(right) >= limits.CERTAIN_RIGHT:
        return []
    says = (
        f"Of the detections that the network is most sure of, {now[-1]:.0%} lie on no annotated object and "
        f"{last(right):.0%} are right: objects are in the pictures that have no annotation."
    )
    severity: Severity = "severe" if now.min() >= limits.UNANNOTATED_SEVERE else "warning"
    evidence = (
        curve(curves, tags.certain_error_tag("background"), "the most certain detections, half as many as objects"),
        curve(curves, tags.map_tag("bbox", "AR100")),
        curve(curves, tags.map_tag("bbox", "AP")),
        curve(curves, tags.train_loss_tag("loss_objectness")),
    )
    return [
        Verdict(
            "objects_unannotated",
            "data",
            severity,
            surety(float(now.min()) / limits.UNANNOTATED, 0.7),
            since(curves, ~(found < limits.UNANNOTATED)),
            says,
            "objects without annotation?",
            "loss_objectness",
            evidence,
            check_data("counts objects per picture and pictures without any"),
        )
    ]
