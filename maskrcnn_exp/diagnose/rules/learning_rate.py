"""Learning rates: of all parts together, and parts that do not learn at all."""

from __future__ import annotations

import math

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import HEADS, Curves
from maskrcnn_exp.diagnose.prescriptions import different_base, rounded
from maskrcnn_exp.diagnose.rules.burnt import all_burnt, peak_pace
from maskrcnn_exp.diagnose.rules.evidence import LINES, NAMES, curve, number, surety
from maskrcnn_exp.diagnose.rules.outcome import box_ap_is_good, learns_nothing
from maskrcnn_exp.diagnose.trends import finite
from maskrcnn_exp.diagnose.verdict import Evidence, Prescription, Severity, Verdict
from maskrcnn_exp.model.parts import PARTS, Part
from maskrcnn_exp.record import tags

__all__ = ["frozen_part", "lr_too_high", "lr_too_low", "warmup_too_long"]


def frozen_part(curves: Curves) -> list[Verdict]:
    """A part does not move at all: severe, unless it is a backbone whose weights come from another training."""
    return [_frozen(curves, part) for part in PARTS if _does_not_move(curves, part)] + _frozen_stages(curves)


def _does_not_move(curves: Curves, part: Part) -> bool:
    rates, ratios = finite(curves[tags.lr_tag(part)]), finite(curves[tags.update_ratio_tag(part)])
    return bool(len(rates) and not rates.any()) or bool(len(ratios) and ratios.max() <= limits.FROZEN)


def _frozen(curves: Curves, part: Part) -> Verdict:
    meant = part == "backbone" and curves.facts.pretrained
    severity: Severity = "info" if meant else "severe"
    moving = [mult for other, mult in curves.facts.mult.items() if other != part and mult > 0]
    mult = rounded(float(np.median(moving)) if moving else 1.0) * (0.1 if meant else 1.0)
    why = "the median multiplier of the other parts" + (", a tenth of it for pretrained weights" if meant else "")
    how = "its weights come from another training" if meant else "its weights stay the random ones it began with"
    stages = ("model.trainable_stages=-1",) if part == "backbone" and curves.facts.trainable_stages == 0 else ()
    return Verdict(
        "frozen_part",
        part,
        severity,
        0.95,
        curves.epoch(0),
        f"The {NAMES[part]} does not learn: its weights do not move at all, and {how}.",
        "frozen",
        LINES.get(part, "total"),
        (curve(curves, tags.update_ratio_tag(part)), curve(curves, tags.lr_tag(part))),
        Prescription((*stages, f"lr.{part}_mult={mult:g}"), why),
    )


def _frozen_stages(curves: Curves) -> list[Verdict]:
    """Random weights that were told to stay: the stages of a backbone that is not pretrained."""
    stages = curves.facts.trainable_stages
    if stages <= 0 or stages >= 5 or curves.facts.pretrained:
        return []
    says = f"Only the last {stages} stages of the backbone learn, and the frozen ones hold random weights."
    evidence = (curve(curves, tags.update_ratio_tag("backbone")), number("model.trainable_stages", stages))
    words = Prescription(("model.trainable_stages=-1",), "nothing of a random backbone is worth keeping")
    return [
        Verdict(
            "frozen_part", "backbone", "severe", 0.9, curves.epoch(0), says, "frozen stages", "total", evidence, words
        )
    ]


def _middle_pace(curves: Curves) -> float:
    paces = [pace for pace in (curves.pace(head) for head in HEADS) if math.isfinite(pace) and pace > 0]
    return float(np.median(paces)) if len(paces) == len(HEADS) else math.nan


def _paces(curves: Curves) -> tuple[Evidence, ...]:
    return tuple(
        curve(curves, tags.update_ratio_tag(head), f"a healthy run's: about {limits.PACE[head]:.0e}") for head in HEADS
    )


def lr_too_low(curves: Curves) -> list[Verdict]:
    """All heads creep: the base rate is too low, or what divides it."""
    pace = _middle_pace(curves)
    factor = limits.TOO_SLOW_PRETRAINED if curves.facts.pretrained else 1.0
    if len(curves) < limits.SETTLED_EPOCHS or not pace <= factor * limits.TOO_SLOW or box_ap_is_good(curves):
        return []
    far = pace <= factor * limits.FAR_TOO_SLOW
    threshold = factor * (limits.FAR_TOO_SLOW if far else limits.TOO_SLOW)
    return [
        Verdict(
            "lr_too_low",
            "run",
            "severe" if far else "warning",
            surety(threshold / pace, 0.75),
            curves.epoch(0),
            f"The learning rate is too low: the heads' weights move {1 / pace:.0f} times less per step than in a run "
            "that learns.",
            "all parts creep",
            "total",
            (*_paces(curves), curve(curves, tags.TRAIN_TOTAL)),
            different_base(curves, 1 / pace, f"the factor {1 / pace:.0f} on the heads' update ratios"),
        )
    ]


def lr_too_high(curves: Curves) -> list[Verdict]:
    """All heads are thrown about, or the first steps have destroyed them, and boxes are not found."""
    burnt = all_burnt(curves)
    pace = max(peak_pace(curves, head) for head in HEADS) if burnt else _middle_pace(curves)
    if len(curves) < limits.SETTLED_EPOCHS + 1 or not pace >= limits.TOO_FAST or box_ap_is_good(curves):
        return []
    nothing = learns_nothing(curves)
    severe = nothing or (curves.done or 0) >= limits.LATE
    when = "at first, and hardly any gradient is left since then," if burnt else "than in a run that learns,"
    return [
        Verdict(
            "lr_too_high",
            "run",
            "severe" if severe else "warning",
            surety(pace / limits.TOO_FAST, 0.75 if severe else 0.6),
            curves.epoch(0),
            f"The learning rate is too high: the heads' weights move {pace:.0f} times more per step {when} "
            f"and {'nothing is' if nothing else 'little is'} learned.",
            "thrown about",
            "total",
            (
                curve(curves, tags.TRAIN_TOTAL),
                *_paces(curves),
                *((curve(curves, tags.grad_norm_tag(head), "before clipping") for head in HEADS) if burnt else ()),
                curve(curves, tags.map_tag("bbox", "AP")),
            ),
            different_base(curves, 1 / pace, f"the factor {pace:.0f} on the heads' update ratios"),
        )
    ]


def warmup_too_long(curves: Curves) -> list[Verdict]:
    """The rate never gets where it was meant to be."""
    epochs, steps = curves.facts.epochs, curves.steps_per_epoch
    if not epochs or not steps or curves.warmup < limits.WARMUP_LONG * epochs or curves.facts.warmup_steps == 0:
        return []
    part = curves.warmup / epochs
    shorter = max(1, int(rounded(0.1 * epochs * steps)))
    return [
        Verdict(
            "warmup_too_long",
            "run",
            "warning",
            surety(part / limits.WARMUP_LONG),
            curves.epoch(0),
            f"The warm-up takes {curves.warmup:.1f} of {epochs} epochs ({curves.facts.warmup_steps} steps of "
            f"{epochs * steps:.0f}): the full learning rate is hardly used.",
            "still warming up",
            "total",
            (curve(curves, tags.lr_tag("mask")),),
            Prescription((f"schedule.warmup_steps={shorter}",), f"a tenth of the run's {epochs * steps:.0f} steps"),
        )
    ]
