"""NaN and infinity: nothing after them means anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import BadValue, Crash, Curves
from maskrcnn_exp.diagnose.prescriptions import clip_of, different_mult
from maskrcnn_exp.diagnose.rules.evidence import curve, number, shown
from maskrcnn_exp.diagnose.verdict import Evidence, Prescription, Verdict
from maskrcnn_exp.model.parts import LOSS_OWNER, LOSSES, PARTS, Part
from maskrcnn_exp.record import tags

__all__ = ["not_finite"]


def not_finite(curves: Curves) -> list[Verdict]:
    """A loss or a gradient is NaN or infinite: in the run's black box, or in the record."""
    if curves.crash is not None:
        return [_crashed(curves, curves.crash)]
    return [_recorded(curves, curves.bad[0])] if curves.bad else []


def _crashed(curves: Curves, crash: Crash) -> Verdict:
    """Tell a rate that drove the weights away from one picture that no weights can bear: by the norms before."""
    part = _part_in(crash.cause)
    norms = [_norm(step, part) for step in crash.steps]
    before = [norm for norm in norms[:-1] if math.isfinite(norm)]
    grew = before[-1] / float(np.median(before)) if len(before) > 2 and np.median(before) > 0 else math.nan
    above = _above_default(curves, part)
    pictures = ", ".join(str(image_id) for image_id in crash.image_ids[:8])
    evidence = (
        Evidence(f"gradient norm of {part}", tuple(norms), f"the {len(norms)} steps before and at step {crash.step}"),
        number("step", crash.step, f"{crash.cause}; pictures {pictures}"),
    )
    prescription: Prescription | None
    if above >= limits.FAR_ABOVE_DEFAULT:
        how = f"at a learning rate {above:.2g} times the optimizer's own"
        default = curves.facts.default_lr or 0.0
        prescription = Prescription((f"lr.base={default:g}",), "the optimizer's own rate")
    elif grew >= limits.GREW_BEFORE:
        how = f"after its gradient had grown to {grew:.0f} times its median: the learning rate drove it away"
        prescription = _slower(curves, part, grew)
    else:
        how = "without growth before it: one of its pictures or a degenerate box"
        prescription = Prescription(
            (f"replay={crash.folder}",), "runs that step again, whole and picture by picture, and names the culprit"
        )
    says = f"{crash.cause} at step {crash.step}, {how}."
    return _verdict(part, crash.epoch, says, evidence, prescription)


def _above_default(curves: Curves, part: Part) -> float:
    """Return a part's rate over the optimizer's own; 1 where it is unknown."""
    rate, default = curves.facts.lr(part), curves.facts.default_lr
    return rate / default if rate and default else 1.0


def _recorded(curves: Curves, bad: BadValue) -> Verdict:
    part = _part_in(bad.tag)
    where = "step" if bad.tag.startswith("step/") else curves.unit
    norms = curves.part_norms(part)
    grew = float(norms[-1] / np.median(norms)) if len(norms) > 2 and np.median(norms) > 0 else math.nan
    name = shown(bad.tag.removeprefix("step/"))
    says = f"{name} is {bad.value} at {where} {bad.at}: what the run does from there on means nothing."
    tag = tags.train_loss_tag("loss_mask") if part == "mask" else tags.TRAIN_TOTAL
    since = bad.at if where == curves.unit or not curves.steps_per_epoch else 1 + int(bad.at / curves.steps_per_epoch)
    prescription = _slower(curves, part, grew if math.isfinite(grew) else limits.GREW_BEFORE)
    return _verdict(part, since, says, (curve(curves, tag),), prescription)


def _slower(curves: Curves, part: Part, grew: float) -> Prescription | None:
    """Clip at what the norms were while all was well; where that was done already, lower the part's rate."""
    if curves.facts.clip in ("global", "per_part"):
        why = f"the gradient had grown {grew:.0f} times, although clipped: the part's rate, divided by that"
        return different_mult(curves, part, 1 / max(grew, 2.0), why)
    return clip_of(curves, part, f"the {limits.NORM_PERCENTILE:g}th percentile of the norms before")


def _verdict(
    part: Part, since: int, says: str, evidence: tuple[Evidence, ...], prescription: Prescription | None
) -> Verdict:
    line = next((loss for loss in LOSSES if LOSS_OWNER[loss] == part), "total")
    return Verdict("not_finite", part, "severe", 1.0, since, says, "not finite", line, evidence, prescription)


def _part_in(text: str) -> Part:
    """Return the part that a cause or a tag names: by its loss, else by its own name; the backbone where by none."""
    for loss in sorted(LOSSES, key=len, reverse=True):
        if loss in text:
            return LOSS_OWNER[loss]
    return next((part for part in PARTS if part in text), "backbone")


def _norm(step: Mapping[str, Any], part: Part) -> float:
    return float(step["grad_norm"][part])
