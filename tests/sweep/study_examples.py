"""Studies with trials of every kind, built without a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.sweep.attrs import DIVERGED, FIXED, FOLDER, METRIC, OVERRIDES, REASON, RECORD, SECONDS, RecordSummary

MASK_MULT = FloatDistribution(0.1, 30, log=True)
CLIP_NORM = FloatDistribution(0.1, 30, log=True)
CLIP = CategoricalDistribution(("none", "global", "per_part"))
METRIC_NAME = "mAP/segm_AP@best"


def new_study(metrics: Sequence[str] = (METRIC_NAME,), directions: Sequence[str] = ("maximize",)) -> optuna.Study:
    study = optuna.create_study(study_name="mask_head", directions=list(directions))
    study.set_user_attr(METRIC, list(metrics))
    study.set_user_attr(FIXED, ["trainer.epochs=6"])
    return study


def record(**finals: float) -> RecordSummary:
    """Return the summary of a record whose losses end at `finals`; one not named ends at 0.1."""
    losses = {loss: finals.get(loss, 0.1) for loss in LOSSES}
    return {
        "epochs": 6,
        "losses": {
            loss: {"first": 2 * final, "final": final, "best": final, "share": 0.2, "trend": -0.01}
            for loss, final in losses.items()
        },
        "val_losses": {},
        "grad_norm": {},
        "clip": {},
        "update_ratio": {},
        "final": {},
    }


def add(
    study: optuna.Study,
    params: Mapping[str, Any],
    value: float | Sequence[float] | None = None,
    *,
    state: TrialState = TrialState.COMPLETE,
    reason: str = "",
    diverged: bool = False,
    seconds: float = 72.0,
    reports: Mapping[int, float] | None = None,
    summary: RecordSummary | None = None,
    space: Mapping[str, BaseDistribution] | None = None,
) -> FrozenTrial:
    """Add one trial as a worker leaves it."""
    known = {"lr.mask_mult": MASK_MULT, "clip.norm": CLIP_NORM, "clip": CLIP} | dict(space or {})
    number = len(study.get_trials(deepcopy=False))
    attributes: dict[str, Any] = {
        FOLDER: str(number),
        OVERRIDES: ["trainer.epochs=6", *(f"{name}={value}" for name, value in params.items())],
        SECONDS: seconds,
    }
    if reason:
        attributes[REASON] = reason
    if diverged:
        attributes[DIVERGED] = True
    if summary is not None:
        attributes[RECORD] = summary
    values = None if value is None else ([value] if isinstance(value, int | float) else list(value))
    study.add_trial(
        create_trial(
            state=state,
            values=values,
            params=dict(params),
            distributions={name: known[name] for name in params},
            user_attrs=attributes,
            intermediate_values=dict(reports or {}),
        )
    )
    return study.get_trials(deepcopy=False)[-1]


def mask_head_study(trials: int = 24, seed: int = 0) -> optuna.Study:
    """Mask AP has its best near a multiplier of 8; above 20 training diverges; a quarter is pruned."""
    study = new_study()
    rng = np.random.default_rng(seed)
    for number in range(trials):
        mult = float(10 ** rng.uniform(-1, math.log10(30)))
        norm = float(10 ** rng.uniform(-1, math.log10(30)))
        value = 0.44 - 0.09 * math.log10(mult / 8) ** 2 + 0.01 * rng.normal()
        mask_loss = 0.25 + 0.15 * abs(math.log10(mult / 8)) + 0.02 * rng.normal()
        params = {"lr.mask_mult": mult, "clip.norm": norm}
        others = {loss: 0.1 + 0.03 * rng.random() for loss in LOSSES}
        summary = record(**(others | {"loss_mask": mask_loss}))
        if mult > 20:
            exploded = record(**(others | {"loss_mask": 41.0 * mult, "loss_objectness": math.inf}))
            reason = f"loss_mask is not finite at step {number + 40}"
            add(study, params, state=TrialState.FAIL, reason=reason, diverged=True, seconds=20, summary=exploded)
        elif mult < 0.35:
            reason = f"loss_mask {0.69 + number / 1e4:.4f} is still at chance (ln 2 = 0.6931)"
            chance = record(**(others | {"loss_mask": 0.69}))
            reports = {1: value / 3, 2: value / 2}
            add(
                study,
                params,
                value / 2,
                state=TrialState.PRUNED,
                reason=reason,
                seconds=25,
                reports=reports,
                summary=chance,
            )
        elif number % 5 == 4:
            add(
                study,
                params,
                value - 0.1,
                state=TrialState.PRUNED,
                seconds=30,
                reports={2: value - 0.1},
                summary=summary,
            )
        else:
            add(study, params, value, seconds=70 + 5 * rng.random(), summary=summary)
    return study


def two_objective_study(trials: int = 16, seed: int = 1) -> optuna.Study:
    study = new_study(("mAP/segm_AP@best", "time/step_s@sum"), ("maximize", "minimize"))
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        seconds = float(rng.uniform(20, 200))
        value = 0.45 - 8 / seconds - 0.05 * float(rng.random())
        add(study, {"clip.norm": float(10 ** rng.uniform(-1, 1.4))}, [value, seconds], summary=record())
    return study
