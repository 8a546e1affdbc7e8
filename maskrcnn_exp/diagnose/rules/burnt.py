"""Heads that a few steps of far too high a rate have destroyed: their units are dead, and no rate mends them now."""

from __future__ import annotations

import math

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.chance import LN2, mean_mask_entropy
from maskrcnn_exp.diagnose.curves import HEADS, Curves
from maskrcnn_exp.diagnose.prescriptions import tamed_mult
from maskrcnn_exp.diagnose.rules.evidence import LINES, NAMES, curve, number, surety
from maskrcnn_exp.diagnose.rules.outcome import at_chance, chance_of, learns_nothing, masks_bad
from maskrcnn_exp.diagnose.trends import finite, median
from maskrcnn_exp.diagnose.verdict import Verdict
from maskrcnn_exp.model.parts import Part
from maskrcnn_exp.record import tags

__all__ = ["all_burnt", "burnt_part", "peak_pace"]


def burnt_part(curves: Curves) -> list[Verdict]:
    """A head moved far too much at first, and since then it guesses and hardly any gradient comes back from it.

    By then its update ratio is that of a healthy head, or of a slow one: a ReLU that is off everywhere passes nothing.
    """
    if all_burnt(curves):
        return []  # the rate of all of them: lr_too_high
    return [_verdict(curves, head) for head in HEADS if _is_burnt(curves, head)]


def all_burnt(curves: Curves) -> bool:
    """Say whether most heads moved too much at first, most have lost their gradient since, and no box is found.

    Where one head is far ahead of the others by a multiplier of its own, it has taken them along: its rate is to blame.
    """
    known = len(finite(curves[tags.grad_norm_tag("mask")])) > limits.SETTLED_EPOCHS
    paces = {head: peak_pace(curves, head) for head in HEADS}
    _, middle, fastest = sorted(HEADS, key=paces.__getitem__)
    if not known or paces[middle] < limits.TOO_FAST or not learns_nothing(curves):
        return False
    if paces[fastest] >= limits.AHEAD * paces[middle] and _has_a_rate_of_its_own(curves, fastest):
        return False
    return sum(_gradient_left(curves, head) <= limits.DEAD for head in HEADS) > len(HEADS) / 2


def _has_a_rate_of_its_own(curves: Curves, head: Part) -> bool:
    """Say whether a head's rate is above those of the others, or may be: a foreign log tells no multipliers."""
    mult = curves.facts.mult
    return not curves.facts.own or any(mult[head] > mult[other] for other in HEADS if other != head)


def peak_pace(curves: Curves, head: Part) -> float:
    """Return a head's highest update ratio in units of a healthy run's; 0 where none was recorded."""
    ratios = finite(curves[tags.update_ratio_tag(head)])
    return float(ratios.max()) / limits.PACE[head] if len(ratios) else 0.0


def _gradient_left(curves: Curves, head: Part) -> float:
    """Return a head's gradient norm over that of its first epoch; NaN for fewer than three epochs."""
    norms = finite(curves[tags.grad_norm_tag(head)])
    return median(norms[-2:]) / float(norms[0]) if len(norms) > limits.SETTLED_EPOCHS and norms[0] > 0 else math.nan


def _is_burnt(curves: Curves, head: Part) -> bool:
    dead = peak_pace(curves, head) >= limits.BURNING and _gradient_left(curves, head) <= limits.DEAD
    return dead and (
        at_chance(curves, LINES[head]) or (head == "mask" and (_says_the_mean(curves) or masks_bad(curves)))
    )


def _says_the_mean(curves: Curves) -> bool:
    """Say whether loss_mask is no better than that of a head which says the mean of all masks everywhere."""
    known, chance = finite(curves.train("loss_mask")), chance_of(curves, "loss_mask")
    mean = mean_mask_entropy(*(curves[f"mask/{name}"] for name in ("accuracy", "false_negative", "false_positive")))
    return bool(len(known) >= 2 and min(known[-2:]) >= limits.AT_CHANCE * chance * mean / LN2)


def _verdict(curves: Curves, head: Part) -> Verdict:
    ratio_tag, norm_tag, loss = tags.update_ratio_tag(head), tags.grad_norm_tag(head), LINES[head]
    peak, left = peak_pace(curves, head), _gradient_left(curves, head)
    when = curves.epoch(int(np.nanargmax(curves[ratio_tag])))
    outcome = "is a guess" if at_chance(curves, loss) else "stays high"
    says = (
        f"The {NAMES[head]}'s learning rate is too high: in epoch {when} its weights moved {peak:.0f} times more per "
        f"step than in a run that learns. Since then {loss} {outcome} and {left:.1%} of its first gradient is left: "
        "the head is dead."
    )
    evidence = (
        curve(curves, ratio_tag, f"a healthy run's: about {limits.PACE[head]:.0e}"),
        curve(curves, norm_tag, "before clipping"),
        curve(curves, tags.train_loss_tag(loss)),
        number("times a healthy pace", peak),
    )
    mended = tamed_mult(curves, head, 1 / peak, f"the factor {peak:.0f} on the head's first update ratio")
    return Verdict(
        "burnt_part",
        head,
        "severe",
        surety(peak / limits.BURNING, 0.85),
        when,
        says,
        "dead since a step too large",
        loss,
        evidence,
        mended,
    )
