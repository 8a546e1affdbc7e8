"""Losses and gradients that jump: for good, or for a step."""

from __future__ import annotations

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.prescriptions import clip_of, different_mult
from maskrcnn_exp.diagnose.rules.evidence import curve, number, surety
from maskrcnn_exp.diagnose.trends import best_before_last, finite
from maskrcnn_exp.diagnose.verdict import Evidence, Prescription, Severity, Verdict
from maskrcnn_exp.model.parts import LOSS_OWNER, LOSSES, PARTS, Part
from maskrcnn_exp.record import tags

__all__ = ["gradient_spikes", "loss_exploding", "loss_spikes"]

_NEIGHBOURS = 15  # logged steps on either side that a spike is compared with


def loss_exploding(curves: Curves) -> list[Verdict]:
    """A loss has risen to a multiple of its best, and the total suffers from it.

    Three things together, because each alone happens in healthy runs: loss_rpn_box_reg triples by noise near 0.001, and
    loss_box_reg grows tenfold while the RPN learns to propose more objects.
    """
    rises = {loss: _harmful_rise(curves, loss) for loss in LOSSES if _has_taken_off(curves, loss)}
    loss = max(rises, key=rises.__getitem__, default=None)
    if loss is None or rises[loss] <= 0:
        return []
    part, value, best = LOSS_OWNER[loss], float(finite(curves.train(loss))[-1]), best_before_last(curves.train(loss))
    place = int(np.nanargmin(curves.train(loss))) + 1
    return [
        Verdict(
            "loss_exploding",
            part,
            "severe",
            surety(value / best / limits.EXPLODED, 0.85),
            curves.epoch(min(place, len(curves) - 1)),
            f"{loss} explodes: {value:.3g}, {value / best:.1f} times its best {best:.3g}. The learning rate of this "
            "part is too high, or its gradients need a limit.",
            "exploding",
            loss,
            (
                curve(curves, tags.train_loss_tag(loss), document="0.4 → 2.1 → NaN" if loss == "loss_mask" else ""),
                curve(curves, tags.TRAIN_TOTAL),
                curve(curves, tags.grad_norm_tag(part)),
            ),
            _tamed(curves, part, value / best),
        )
    ]


def _has_taken_off(curves: Curves, loss: str) -> bool:
    known = finite(curves.train(loss))
    if len(known) < 2 or known[:-1].min() <= 0:
        return False
    past = known[:-1]
    twice = len(past) > 1 and known[-1] > past[-1] > past[-2]
    return bool(known[-1] >= limits.EXPLODED * past.min() and (twice or known[-1] >= limits.EXPLODED * past[0]))


def _harmful_rise(curves: Curves, loss: str) -> float:
    """Return what a loss adds to the total since its best epoch, in its weight; 0 where that does no harm."""
    weighted, total = finite(curves.weighted(loss)), finite(curves[tags.TRAIN_TOTAL])
    if len(weighted) < 2 or len(total) < 2:
        return 0.0
    rise, best_total = float(weighted[-1] - weighted[:-1].min()), float(total[:-1].min())
    return rise if min(rise, float(total[-1]) - best_total) >= limits.HARM * best_total else 0.0


def _tamed(curves: Curves, part: Part, times: float) -> Prescription | None:
    """Slow the part where it is faster than the best runs; else limit its gradients at what they were before."""
    behind = curves.times_behind(part) if part in limits.PACE else float("nan")
    best = limits.BEST_RATIO.get(part, 1.0)
    if behind < best:
        why = f"its weights move {1 / behind:.1f} times as fast as the other heads'; the best runs: {1 / best:.1f}"
        return different_mult(curves, part, behind / best, why)
    if curves.facts.clip in (None, "none"):
        return clip_of(curves, part, f"the {limits.NORM_PERCENTILE:g}th percentile of the recorded norms")
    return different_mult(curves, part, 1 / times, f"the loss is {times:.1f} times its best")


def loss_spikes(curves: Curves) -> list[Verdict]:
    """The total jumps to ten times its neighbours on single steps."""
    found = _spikes(curves, tags.step_tag("total"))
    if not found:
        return []
    severity: Severity = "warning" if len(found) >= limits.SPIKES_MANY else "info"
    steps, times = [step for step, _ in found], max(times for _, times in found)
    says = f"The total loss jumps to {times:.0f} times its neighbours at step {_listed(steps)}."
    return [_spike_verdict(curves, "loss_spikes", severity, "run", says, tags.step_tag("total"), steps)]


def gradient_spikes(curves: Curves) -> list[Verdict]:
    """A part's gradient jumps to ten times its neighbours on single steps; what clipping catches is only noted."""
    verdicts = []
    for part in PARTS:
        tag = tags.step_tag(tags.grad_norm_tag(part))
        found = _spikes(curves, tag)
        if not found:
            continue
        caught = curves.facts.clip in ("global", "per_part")
        severity: Severity = "warning" if len(found) >= limits.SPIKES_MANY and not caught else "info"
        steps, times = [step for step, _ in found], max(times for _, times in found)
        says = f"The gradient of {part} jumps to {times:.0f} times its neighbours at step {_listed(steps)}" + (
            "; clipping takes care of it." if caught else ", and nothing limits it."
        )
        verdicts.append(_spike_verdict(curves, "gradient_spikes", severity, part, says, tag, steps))
    return verdicts


def _spike_verdict(
    curves: Curves, rule: str, severity: Severity, part: str, says: str, tag: str, steps: list[int]
) -> Verdict:
    first = 1 if not curves.steps_per_epoch else 1 + int((steps[0] - 1) / curves.steps_per_epoch)
    values = curves.steps[tag][1]
    evidence = Evidence(tag, tuple(float(value) for value in values), "one value per logged step", tag=tag)
    caught = curves.facts.clip in ("global", "per_part")
    why = f"the {limits.NORM_PERCENTILE:g}th percentile of the recorded norms"
    prescription = None if caught else clip_of(curves, part if part in PARTS else None, why)
    return Verdict(
        rule,
        part,
        severity,
        surety(len(steps)),
        first,
        says,
        "spikes",
        "total",
        (evidence, number("spikes", len(steps))),
        prescription,
    )


def _spikes(curves: Curves, tag: str) -> list[tuple[int, float]]:
    """Return step and times of each value that is SPIKE times the median around it, the warm-up left out."""
    if tag not in curves.steps:
        return []
    steps, values = curves.steps[tag]
    late = np.isfinite(values) & (steps > curves.facts.warmup_steps)
    steps, values = steps[late], values[late]
    if len(values) < limits.NORMS_NEEDED or not values.max() > limits.SPIKE * np.median(values) / 2:
        return []  # nothing stands out of the whole: the usual case, without a loop
    found = []
    for place in np.flatnonzero(values > values.mean()):
        around = values[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS + 1]
        usual = float(np.median(around))
        if usual > 0 and values[place] >= limits.SPIKE * usual:
            found.append((int(steps[place]), float(values[place] / usual)))
    return found


def _listed(steps: list[int]) -> str:
    return ", ".join(str(step) for step in steps[:3]) + (f" and {len(steps) - 3} more" if len(steps) > 3 else "")
