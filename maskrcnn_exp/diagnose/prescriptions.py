"""From evidence to a command: every value here is computed from what the run recorded."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.verdict import Prescription
from maskrcnn_exp.model.parts import PARTS, Part
from maskrcnn_exp.override_keys import bare_key, command_line

__all__ = [
    "check_data",
    "clip_of",
    "command",
    "different_base",
    "different_mult",
    "more_variety",
    "recommended_norm",
    "rounded",
    "tamed_mult",
    "train_words",
]

_NOT_REPEATED: Final = ("run_dir", "resume", "replay", "search", "hydra")
"""Keys of a run that the next one must not repeat."""


def rounded(value: float, digits: int = 2) -> float:
    """Round to significant digits: a prescription is a size, not a measurement."""
    return float(f"{value:.{digits}g}")


def different_mult(curves: Curves, part: Part, ratio: float, why: str) -> Prescription:
    """Prescribe the multiplier with which a part's update ratio would change by the factor `ratio`."""
    mult = curves.facts.mult[part] or 1.0
    return Prescription((f"lr.{part}_mult={rounded(mult * rate_factor(curves, ratio)):g}",), why)


def tamed_mult(curves: Curves, part: Part, ratio: float, why: str) -> Prescription:
    """Prescribe as `different_mult` from a guess of `ratio`; 1, the rate of all parts, where that is as likely."""
    mult = curves.facts.mult[part] or 1.0
    value, said = _likely(mult, mult * rate_factor(curves, ratio), 1.0, "the rate of the other parts")
    return Prescription((f"lr.{part}_mult={value:g}",), why + said)


def different_base(curves: Curves, ratio: float, why: str) -> Prescription | None:
    """Prescribe the base rate with which all update ratios would change by the factor `ratio`; None if unknown.

    It is the optimizer's own rate where that is as likely.
    """
    base = curves.facts.base_lr
    if base is None:
        return None
    value, said = _likely(base, base * rate_factor(curves, ratio), curves.facts.default_lr, "the optimizer's own rate")
    return Prescription((f"lr.base={value:g}",), why + said)


def _likely(now: float, estimate: float, usual: float | None, name: str) -> tuple[float, str]:
    """Return what to prescribe in place of `now`, and what to say of it.

    An estimate over two orders of magnitude errs by a factor of RATE_ERROR. A value that has proved itself elsewhere
    and lies within it is the better guess, unless it is hardly another one than `now`.
    """
    if usual and abs(math.log(usual / estimate)) <= math.log(limits.RATE_ERROR):
        way = math.log(estimate / now)
        if math.log(usual / now) * math.copysign(1.0, way) >= abs(way) / 2 and way:
            return rounded(usual), f"; {name}, {usual:g}, is within the error of {rounded(estimate):g}"
    return rounded(estimate), ""


def rate_factor(curves: Curves, ratio: float) -> float:
    """Return the factor on a learning rate that changes the update ratio by `ratio`.

    Plain SGD's update is proportional to the rate. Under AdamW a slow head's gradients agree from step to step and a
    fast one's do not, so that the ratio grows more slowly than the rate.
    """
    return float(ratio**limits.ADAPTIVE_EXPONENT) if curves.facts.adaptive else ratio


def recommended_norm(curves: Curves, part: Part | None) -> float | None:
    """Return the limit that touches every tenth step, of a part's or the whole gradient's recorded norms."""
    norms = curves.total_norms if part is None else curves.part_norms(part)
    if not len(norms) or not norms.max() > 0:
        return None
    return rounded(float(np.percentile(norms, limits.NORM_PERCENTILE)))


def clip_of(curves: Curves, part: Part | None, why: str) -> Prescription | None:
    """Prescribe the recommended norm in the run's own way of clipping; for one part where it clips by parts."""
    by_part = curves.facts.clip == "per_part" and part is not None
    norm = recommended_norm(curves, part if by_part else None)
    if norm is None:
        return None
    if by_part:
        return Prescription((f"clip.{part}={norm:g}",), why)
    if curves.facts.clip == "per_part":
        limited = {name: recommended_norm(curves, name) for name in PARTS}
        return Prescription(tuple(f"clip.{name}={limit:g}" for name, limit in limited.items() if limit), why)
    group = () if curves.facts.clip == "global" else ("clip=global",)
    return Prescription((*group, f"clip.norm={norm:g}"), why)


def check_data(why: str) -> Prescription:
    """Prescribe the audit of the data set; its words are the run's own."""
    return Prescription((), why, command="check-data")


def more_variety(curves: Curves, why: str) -> Prescription | None:
    """Prescribe an augmentation of sizes and colours; None where the run has one, or its configuration is unknown."""
    augment = curves.facts.augment
    varied = augment.get("photometric", 0) > 0 or augment.get("scale_max", 1) > augment.get("scale_min", 1)
    if varied or not curves.facts.own:
        return None
    return Prescription((f"augment={'full' if augment.get('vertical_flip', 0) > 0 else 'photo'}",), why)


def command(prescription: Prescription, overrides: Sequence[str]) -> str:
    """Return the line to type: what the run was started with, and the prescription on top."""
    if prescription.command == "check-data":
        words = [word for word in overrides if _root(word) in ("dataset", "experiment")]
    else:
        words = train_words(overrides, prescription.words)
    return command_line(prescription.command, words)


def train_words(overrides: Sequence[str], changes: Sequence[str]) -> list[str]:
    """Return a run's overrides without what must not be repeated, and with `changes` in place of what they change."""
    changed = {bare_key(word) for word in changes}
    exchanged = {key for key in changed if "." not in key}  # groups: their keys are those of another choice now
    kept = [
        word
        for word in overrides
        if bare_key(word) not in changed and _root(word) not in _NOT_REPEATED and _root(word) not in exchanged
    ]
    return [*kept, *changes]


def _root(word: str) -> str:
    return re.split(r"[./@]", bare_key(word))[0]
