"""loss_mask by itself and against the losses of the other heads: flat, slow, stopped."""

from __future__ import annotations

import math

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.rules.blame import MASK, blame_words, long_enough, mask_verdict, speed, still_bad
from maskrcnn_exp.diagnose.rules.evidence import surety
from maskrcnn_exp.diagnose.rules.outcome import mask_level, recent, settled_trend, share_of_highest, still_rising
from maskrcnn_exp.diagnose.trends import finite
from maskrcnn_exp.diagnose.verdict import Severity, Verdict
from maskrcnn_exp.record import tags

__all__ = ["mask_loss_flat", "mask_loss_slower", "mask_plateau_early"]


def mask_loss_flat(curves: Curves) -> list[Verdict]:
    """loss_mask barely falls after the warm-up while other losses do, and it is still high."""
    fall = settled_trend(curves, MASK)
    if fall is None or not long_enough(curves) or fall.falls(limits.FLAT) or fall.rises(limits.FLAT):
        return []
    others = [settled_trend(curves, tags.train_loss_tag(loss)) for loss in ("loss_objectness", "loss_classifier")]
    falling = [other.relative_drop for other in others if other is not None and other.falls(2 * limits.FLAT)]
    if not falling or not still_bad(curves) or _masks_come_along(curves):
        return []
    severity: Severity = "severe" if mask_level(curves) >= limits.STUCK else "warning"
    says = (
        f"loss_mask barely falls: {fall.start:.3f} → {fall.end:.3f} since the warm-up ({fall.relative_drop:.0%} less) "
        f"while another loss fell by {max(falling):.0%}; {blame_words(curves)}."
    )
    return [
        mask_verdict(
            curves,
            "mask_loss_flat",
            severity,
            surety(limits.FLAT / max(fall.relative_drop, 0.02), 0.7),
            says,
            "barely moving",
        )
    ]


def _masks_come_along(curves: Curves) -> bool:
    """Say whether mask AP rises, not far behind box AP as far as is known: masks are learned, whatever the loss."""
    return still_rising(curves, curves.ap("segm")) and not curves.fit() < limits.LOW_FIT


def mask_loss_slower(curves: Curves) -> list[Verdict]:
    """loss_mask falls, but far more slowly than the losses of the other heads."""
    own = speed(curves, "loss_mask")
    others = [speed(curves, loss) for loss in ("loss_objectness", "loss_classifier")]
    if not long_enough(curves) or not own > 0 or not still_bad(curves):
        return []
    slowest = min((other for other in others if other > 0), default=math.nan)
    if not slowest >= limits.SLOWER * own:
        return []
    says = (
        f"loss_mask falls {slowest / own:.1f} times more slowly than the slower of loss_objectness and loss_classifier "
        f"(by {1 - math.exp(-own):.0%} since the warm-up); {blame_words(curves)}."
    )
    return [
        mask_verdict(
            curves, "mask_loss_slower", "warning", surety(slowest / own / limits.SLOWER), says, "slower than the others"
        )
    ]


def mask_plateau_early(curves: Curves) -> list[Verdict]:
    """loss_mask fell and stopped, high, while there is time left and other losses still fall."""
    now, rates = recent(curves, curves.train("loss_mask")), finite(curves[tags.lr_tag("mask")])
    if now is None or not long_enough(curves) or (curves.done or 0) > limits.EARLY:
        return []
    if len(rates) and rates[-1] < limits.RATE_STILL_HIGH * rates.max():
        return []
    stopped = not now.falls(limits.PLATEAU) and abs(now.relative_drop) < limits.STILL_LEARNING
    others = (recent(curves, curves.train(loss)) for loss in ("loss_objectness", "loss_classifier"))
    on = any(other is not None and other.falls(limits.STILL_LEARNING) for other in others)
    fell = share_of_highest(curves.train("loss_mask")) <= 1 - limits.FLAT
    if not stopped or not on or not fell or not still_bad(curves):
        return []
    start = curves.epoch(len(curves) - now.points)
    says = (
        f"loss_mask stopped at {now.end:.3f} after epoch {start} while other losses still fall; {blame_words(curves)}."
    )
    return [mask_verdict(curves, "mask_plateau_early", "warning", 0.6, says, "stopped early", since_epoch=start)]
