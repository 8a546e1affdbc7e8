"""Training against validation: overfit, gaps, and runs that stopped or went on for too long."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.prescriptions import more_variety, rounded
from maskrcnn_exp.diagnose.rules.evidence import curve, surety
from maskrcnn_exp.diagnose.rules.outcome import recent, settled_trend, still_rising
from maskrcnn_exp.diagnose.trends import finite, last, median, noise_of
from maskrcnn_exp.diagnose.verdict import Evidence, Prescription, Severity, Verdict
from maskrcnn_exp.model.parts import LOSS_OWNER, LOSSES
from maskrcnn_exp.record import tags

if TYPE_CHECKING:
    from maskrcnn_exp.diagnose.trends import Curve

__all__ = ["overfit", "plateau", "unfinished", "validation_gap"]

_BOX_AP: Final = tags.map_tag("bbox", "AP")
_MASK_AP: Final = tags.map_tag("segm", "AP")


def _smooth(curve: Curve) -> Curve:
    """Return the median of each three neighbours: the least of many noisy values is no best."""
    known = finite(curve)
    if len(known) < 3:
        return known
    smooth: Curve = np.median(np.lib.stride_tricks.sliding_window_view(known, 3), axis=1)
    return smooth


def _rise(curves: Curves, tag: str) -> float:
    """Return how far a validation loss stands above its best since the warm-up, as a share; 0 within its noise."""
    settled = finite(curves.after_warmup(tag))
    if len(settled) < limits.JUDGED_EPOCHS:
        return 0.0
    smooth = _smooth(settled)
    best, now = float(smooth[:-1].min()), float(smooth[-1])
    beyond = now - best > limits.SURE * max(noise_of(settled), limits.NOISE_GUESS * best) / math.sqrt(2)
    return now / best - 1 if beyond and best > 0 else 0.0


def _best_epoch(curves: Curves, tag: str) -> int:
    """Return the epoch in the middle of the three that are best together; the best one of fewer."""
    values = curves.after_warmup(tag)
    epochs = curves.at[curves.settled :][np.isfinite(values)]
    smooth = _smooth(values)
    return int(epochs[int(smooth.argmin()) + (1 if len(epochs) >= 3 else 0)])


def overfit(curves: Curves) -> list[Verdict]:
    """The validation loss rises beyond its noise while the training loss falls; which head does it most."""
    rise = _rise(curves, tags.VAL_TOTAL)
    if rise < limits.OVERFIT or not _train_fell(curves):
        return []
    heads = {loss: _rise(curves, tags.val_loss_tag(loss)) * last(curves.val(loss)) for loss in LOSSES}
    worst = max(heads, key=heads.__getitem__)
    part = LOSS_OWNER[worst] if heads[worst] > 0 else "run"
    best = _best_epoch(curves, tags.VAL_TOTAL)
    helped = still_rising(curves, curves.ap("segm")) or still_rising(curves, curves.ap("bbox"))
    says = (
        f"Overfit: the validation loss is {rise:.0%} above its best of epoch {best} while the training loss falls"
        + (f", most of it by {worst}" if part != "run" else "")
        + ("; AP still rises, so it does no harm yet." if helped else ".")
    )
    return [
        Verdict(
            "overfit",
            part,
            _overfit_severity(curves, rise, helped),
            surety(rise / limits.OVERFIT, 0.65),
            best + 1,
            says,
            f"{rise:.0%} above its best",
            "val_total",
            (
                curve(curves, tags.VAL_TOTAL, document="should fall with the training loss"),
                curve(curves, tags.TRAIN_TOTAL),
                *(curve(curves, tags.val_loss_tag(loss)) for loss in LOSSES if heads[loss] > 0),
                curve(curves, _MASK_AP),
            ),
            _regularised(curves, best),
        )
    ]


def _overfit_severity(curves: Curves, rise: float, helped: bool) -> Severity:
    if helped:
        return "info"
    fell = np.nanmax(curves.ap("segm")) - last(curves.ap("segm")) if curves.has(_MASK_AP) else 0.0
    return "severe" if rise >= limits.OVERFIT_SEVERE and fell >= limits.AP_NOISE else "warning"


def _train_fell(curves: Curves) -> bool:
    total = settled_trend(curves, tags.TRAIN_TOTAL)
    return total is not None and total.falls()


def _regularised(curves: Curves, best: int) -> Prescription:
    """Augment where little is done; else stop where validation was best, so that the schedule ends there."""
    varied = more_variety(curves, "pictures are shown without changes of size or colour")
    return varied or Prescription(
        (f"trainer.epochs={best}",), f"validation was best at epoch {best}: the schedule ends there then"
    )


def validation_gap(curves: Curves) -> list[Verdict]:
    """The validation loss is a multiple of the training loss: what is learned does not carry over."""
    gaps = curves.after_warmup(tags.VAL_TOTAL) / curves.after_warmup(tags.TRAIN_TOTAL)
    gap = median(finite(gaps)[-2:])
    if len(finite(gaps)) < limits.JUDGED_EPOCHS or not gap >= limits.VALIDATION_GAP:
        return []
    by_loss = {loss: last(curves.val(loss)) - last(curves.train(loss)) for loss in LOSSES}
    worst = max(by_loss, key=lambda loss: by_loss[loss] if math.isfinite(by_loss[loss]) else -math.inf)
    says = f"The validation loss is {gap:.1f} times the training loss, mostly by {worst}: too few pictures."
    return [
        Verdict(
            "validation_gap",
            LOSS_OWNER[worst],
            "warning",
            surety(gap / limits.VALIDATION_GAP),
            curves.epoch(curves.settled),
            says,
            f"{gap:.1f} times the training loss",
            "val_total",
            (curve(curves, tags.VAL_TOTAL), curve(curves, tags.TRAIN_TOTAL), curve(curves, tags.val_loss_tag(worst))),
            _regularised(curves, _best_epoch(curves, tags.VAL_TOTAL)),
        )
    ]


def plateau(curves: Curves) -> list[Verdict]:
    """The total does not change any more although the learning rate is still high."""
    now, rates = recent(curves, curves[tags.TRAIN_TOTAL]), finite(curves[tags.lr_tag("mask")])
    enough = len(finite(curves.after_warmup(tags.TRAIN_TOTAL))) >= 2 * limits.RECENT_LEAST
    if now is None or not enough or not len(rates) or rates[-1] < limits.RATE_STILL_HIGH * rates.max():
        return []
    if abs(now.relative_drop) >= limits.PLATEAU or still_rising(curves, curves.ap("segm")):
        return []
    start = curves.epoch(len(curves) - now.points)
    steady = float(np.ptp(rates[-now.points :])) < 0.01 * float(rates.max())
    falling = Prescription(("schedule=cosine",), "the rate stands still, and so does the loss")
    slower = Prescription(
        (f"lr.base={rounded(curves.facts.base_lr / 3):g}",) if curves.facts.base_lr else (),
        "a third of the rate: what is left to learn is smaller than its steps",
    )
    return [
        Verdict(
            "plateau",
            "run",
            "info",
            0.55,
            start,
            f"The total changed by {abs(now.relative_drop):.1%} since epoch {start}, at a rate that is still high.",
            "plateau",
            "total",
            (curve(curves, tags.TRAIN_TOTAL), curve(curves, tags.lr_tag("mask"))),
            falling if steady else (slower if slower.words else None),
        )
    ]


def unfinished(curves: Curves) -> list[Verdict]:
    """The run is over and AP was still rising."""
    ap = recent(curves, curves.ap("segm"))
    if (curves.done or 0) < 1 or ap is None or not still_rising(curves, curves.ap("segm")) or ap.end <= 0:
        return []
    share = min(1.0, -ap.drop / ap.end / limits.RECENT)
    epochs = math.ceil((curves.facts.epochs or len(curves)) * (1 + share))
    evidence: tuple[Evidence, ...] = (curve(curves, _MASK_AP), curve(curves, _BOX_AP), curve(curves, tags.VAL_TOTAL))
    return [
        Verdict(
            "unfinished",
            "run",
            "info",
            0.6,
            curves.epoch(-1),
            f"Mask AP still rose by {-100 * ap.drop:.1f} points over the last {ap.points} epochs: train longer.",
            "still rising",
            "segm_ap",
            evidence,
            Prescription((f"trainer.epochs={epochs}",), f"as much longer as AP still rises: {share:.0%}"),
        )
    ]
