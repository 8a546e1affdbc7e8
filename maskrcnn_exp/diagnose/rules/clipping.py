"""Gradient clipping that touches nearly every step: it is the learning rate then, or has no effect."""

from __future__ import annotations

import math

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import HEADS, Curves
from maskrcnn_exp.diagnose.prescriptions import clip_of, recommended_norm
from maskrcnn_exp.diagnose.rules.evidence import LINES, curve, number, since, surety
from maskrcnn_exp.diagnose.trends import median
from maskrcnn_exp.diagnose.verdict import Severity, Verdict
from maskrcnn_exp.model.parts import PARTS, Part
from maskrcnn_exp.record import tags

__all__ = ["clipping_is_the_rate"]


def clipping_is_the_rate(curves: Curves) -> list[Verdict]:
    """Clipping shortens nearly every step: under SGD the limit sets the step, and the rate only multiplies it.

    AdamW divides by the gradient's own size, so a limit on every step only evens the steps out: sweeps on shapes were
    best with it (mask AP 0.66 at clip.norm 1.5 to 2.3, clipped always, against 0.59 at 10). There it is noted, unless
    the update ratios show that the run creeps.
    """
    if len(curves) < limits.SETTLED_EPOCHS or curves.facts.clip not in ("global", "per_part"):
        return []
    parts: tuple[Part | None, ...] = PARTS if curves.facts.clip == "per_part" else (None,)
    return [verdict for part in parts for verdict in _always_clipped(curves, part)]


def _always_clipped(curves: Curves, part: Part | None) -> list[Verdict]:
    tag = tags.clip_tag(part or "mask")
    share = median(curves[tag][1:])
    norms = curves.total_norms if part is None else curves.part_norms(part)
    limit = curves.facts.clip_limit.get(part or "mask", math.inf)
    if not share >= limits.ALWAYS_CLIPPED or not len(norms) or not 0 < limit < math.inf:
        return []
    shrinks = float(np.median(norms)) / limit
    severity = _severity(curves, shrinks, part)
    norm = recommended_norm(curves, part)
    what = "the gradient" if part is None else f"the gradient of {part}"
    effect = (
        "AdamW divides by the gradient's size, so this only evens its steps out"
        if severity == "info" and curves.facts.adaptive
        else f"the limit is the learning rate, {shrinks:.0f} times lower than it says"
    )
    why = f"the {limits.NORM_PERCENTILE:g}th percentile of the recorded norms: every tenth step is clipped"
    return [
        Verdict(
            "clipping_is_the_rate",
            part or "run",
            severity,
            surety(shrinks / limits.CLIP_SHRINKS, 0.8),
            since(curves, ~(curves[tag] < limits.ALWAYS_CLIPPED)),
            f"Clipping shortens {what} in {share:.0%} of the steps, {shrinks:.3g} times at the median: {effect}.",
            f"always clipped, {shrinks:.2g} times",
            LINES.get(part, "total") if part else "total",
            (
                curve(curves, tag, "share of steps clipped"),
                number("median norm", float(np.median(norms)), f"limit {limit:g}, recommended {norm:g}"),
                *(curve(curves, tags.grad_norm_tag(each)) for each in ((part,) if part else PARTS)),
            ),
            None if severity == "info" else clip_of(curves, part, why),
        )
    ]


def _severity(curves: Curves, shrinks: float, part: Part | None) -> Severity:
    heads = (part,) if part in HEADS else HEADS
    paces = [pace for pace in (curves.pace(head) for head in heads if head) if math.isfinite(pace)]
    creeps = bool(paces) and float(np.median(paces)) <= limits.TOO_SLOW
    if curves.facts.adaptive and not creeps:
        return "info"
    if shrinks >= limits.CLIP_SHRINKS_MUCH and (creeps or not paces):
        return "severe"
    return "warning" if shrinks >= limits.CLIP_SHRINKS else "info"
