"""Whether a run does well, by its losses and its AP: what turns a suspicion about a setting into a verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.chance import LN2, classifier_chance
from maskrcnn_exp.diagnose.trends import Trend, finite, last, median, noise_of, trend
from maskrcnn_exp.record import tags

if TYPE_CHECKING:
    from maskrcnn_exp.diagnose.curves import Curves
    from maskrcnn_exp.diagnose.trends import Curve

__all__ = [
    "at_chance",
    "box_ap_is_good",
    "chance_of",
    "learns_nothing",
    "mask_level",
    "masks_bad",
    "masks_fit",
    "rebounds",
    "recent",
    "settled_trend",
    "share_of_highest",
    "still_rising",
]


def chance_of(curves: Curves, loss: str) -> float:
    """Return what a head that guesses scores in a loss; NaN where there is no such number or it is unknown."""
    if loss == "loss_objectness":
        return LN2
    if loss == "loss_mask":
        return math.nan if curves.facts.mask_chance is None else curves.facts.mask_chance
    if loss == "loss_classifier" and curves.facts.classes:
        return classifier_chance(curves.facts.classes)
    return math.nan


def at_chance(curves: Curves, loss: str) -> bool:
    """Say whether the last two epochs of a loss are no better than a guess, and the last one is no new best."""
    known = finite(curves.train(loss))
    least = limits.AT_CHANCE * chance_of(curves, loss)
    if len(known) < 3 or not min(known[-2:]) >= least:
        return False
    return bool(known[-1] > (1 - limits.NOISE_GUESS) * known[:-1].min())


def rebounds(curves: Curves, loss: str) -> bool:
    """Say whether a training loss stands well above its own best, by more than its noise."""
    known = finite(curves.train(loss))
    if len(known) < 3:
        return False
    best = float(known[:-1].min())
    return bool(known[-1] > (1 + limits.REBOUND) * best and known[-1] - best > limits.SURE * noise_of(known))


def box_ap_is_good(curves: Curves) -> bool:
    """Say whether the boxes are good enough to ask about masks."""
    return last(curves.ap("bbox")) >= limits.GOOD_BOX_AP


def masks_fit(curves: Curves) -> bool:
    """Say whether masks are as good as their boxes, as far as COCO numbers tell; False where they are unknown."""
    return curves.fit() >= limits.FULL_FIT


def mask_level(curves: Curves) -> float:
    """Return loss_mask over chance; over its own highest value where chance is unknown. The median of the last two."""
    known = finite(curves.train("loss_mask"))
    if not len(known):
        return math.nan
    chance = chance_of(curves, "loss_mask")
    return median(known[-2:]) / (chance if math.isfinite(chance) else float(known.max()))


def masks_bad(curves: Curves) -> bool:
    """Say whether boxes are good, masks are much worse, and loss_mask is still high."""
    return curves.fit() < limits.LOW_FIT and box_ap_is_good(curves) and mask_level(curves) >= limits.HIGH_MASK


def learns_nothing(curves: Curves) -> bool:
    """Say whether boxes are never found, or, without COCO numbers, whether the total stays where it was."""
    boxes = finite(curves.ap("bbox"))
    if len(boxes):
        return bool(boxes.max() < limits.AP_OF_NOTHING)
    total = trend(curves[tags.TRAIN_TOTAL][1:])
    return total is not None and not total.falls(limits.FLAT)


def settled_trend(curves: Curves, tag: str, least: int = 3) -> Trend | None:
    """Return the trend of a tag since the warm-up; None for fewer than `least` points."""
    values = curves.after_warmup(tag)
    if len(finite(values)) < least:
        return None
    return trend(values, noise=noise_of(values))


def recent(curves: Curves, curve: Curve) -> Trend | None:
    """Return the trend of "now": the last third of the settled epochs, three at least; None before there are any."""
    settled = curve[curves.settled :]
    known = len(finite(settled))
    points = max(limits.RECENT_LEAST, math.ceil(limits.RECENT * known))
    if known < points:
        return None
    return trend(settled, points=points, noise=noise_of(settled))


def still_rising(curves: Curves, curve: Curve) -> bool:
    """Say whether AP rose over the recent epochs by more than the noise between seeds."""
    now = recent(curves, curve)
    return now is not None and -now.drop > max(limits.AP_NOISE, limits.SURE * now.error / 2)


def share_of_highest(curve: Curve) -> float:
    """Return the last known value over the highest; NaN without values."""
    known = finite(curve)
    return float(known[-1] / np.max(known)) if len(known) and np.max(known) > 0 else math.nan
