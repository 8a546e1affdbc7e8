"""Where the time goes."""

from __future__ import annotations

import math

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.rules.evidence import curve, number, surety
from maskrcnn_exp.diagnose.trends import finite, median
from maskrcnn_exp.diagnose.verdict import Prescription, Verdict

__all__ = ["data_starvation", "slow_evaluation"]


def data_starvation(curves: Curves) -> list[Verdict]:
    """The training waits for pictures."""
    waiting, step = curves["time/data_s"], curves["time/step_s"]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (waiting / step)[1:]  # the first epoch fills caches
    share = median(shares)
    if len(finite(shares)) < limits.SETTLED_EPOCHS or not share > limits.DATA_SHARE:
        return []
    return [
        Verdict(
            "data_starvation",
            "run",
            "warning",
            surety(share / limits.DATA_SHARE, 0.8),
            curves.epoch(1),
            f"The training waits {share:.0%} of its time for pictures.",
            f"waits {share:.0%} for data",
            "total",
            (curve(curves, "time/data_s", "seconds per step"), curve(curves, "time/step_s", "seconds per step")),
            _more_workers(curves, share),
        )
    ]


def _more_workers(curves: Curves, share: float) -> Prescription:
    """Return the workers that bring the waiting down to DATA_SHARE_GOAL, if loading scales with them.

    With w workers a step waits for d of its t seconds, so a picture's batch takes w·t worker seconds where w > 0, and d
    where the training loads itself; work that is not waiting takes t − d.
    """
    workers = curves.facts.num_workers or 0
    seconds = median(curves["time/step_s"])
    busy = seconds * (1 - share)
    loading = seconds * workers if workers > 0 else seconds * share
    allowed = busy / (1 - limits.DATA_SHARE_GOAL)
    needed = max(workers + 1, math.ceil(round(loading / allowed, 6)))
    why = f"loading a batch takes {loading:.2g} s of one worker, the rest of a step {busy:.2g} s"
    return Prescription((f"trainer.num_workers={needed}",), why)


def slow_evaluation(curves: Curves) -> list[Verdict]:
    """Evaluations take more time than the training between them."""
    evaluation = median(curves["time/eval_s"])
    training = median(curves["time/epoch_s"])
    if not math.isfinite(training) and curves.steps_per_epoch:
        training = median(curves["time/step_s"]) * curves.steps_per_epoch
    evaluations, epochs = len(finite(curves["time/eval_s"])), len(curves)
    if evaluations < limits.SETTLED_EPOCHS or not evaluation > limits.EVALUATION_SECONDS or not training > 0:
        return []
    share = evaluations * evaluation / (evaluations * evaluation + epochs * training)
    if share <= limits.EVALUATION_SHARE:
        return []
    every = math.ceil(round(evaluation * (1 - limits.EVALUATION_GOAL) / (limits.EVALUATION_GOAL * training), 6))
    return [
        Verdict(
            "slow_evaluation",
            "run",
            "info",
            surety(share / limits.EVALUATION_SHARE),
            curves.epoch(0),
            f"Evaluations take {share:.0%} of the run's time.",
            "slow evaluation",
            "val_total",
            (curve(curves, "time/eval_s"), number("seconds of training per epoch", training)),
            Prescription((f"trainer.eval_every_epochs={every}",), f"{limits.EVALUATION_GOAL:.0%} of the time then"),
        )
    ]
