"""Studies of fake trials: a formula with an intermediate value per epoch, and the notes that a worker leaves."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import optuna
from hydra import initialize_config_dir
from optuna.trial import FrozenTrial, create_trial

from benchmarks.sweep_replay import settings_of
from maskrcnn_exp.config_names import conf_dir
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.schema import register_schema
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.plan import SearchPlan
from maskrcnn_exp.sweep.space import parse_space

__all__ = ["EPOCHS", "METRIC", "NAME", "OWN_NOTES", "SAMPLERS", "curve", "donors", "plan_of"]

EPOCHS: Final = 12  # COCO's 1x schedule
METRIC: Final = "mAP/segm_AP"
NAME: Final = "scaling"
_MANY: Final = 10**6  # trials that the plan allows: it must never be the end

SAMPLERS: Final = (
    "tpe_joint", "random", "cmaes", "tpe", "motpe", "nsgaii", "nsgaiii", "qmc", "gp", "grid", "brute_force"
)  # fmt: skip
"""As the configuration names them; `tpe_joint` is what the presets use."""

OWN_NOTES: Final = frozenset({"cmaes", "nsgaii", "nsgaiii", "grid"})
"""These read what they wrote into earlier trials, so those must be their own; the others look at points and values."""

_INTERVALS: Final = ("lr.mask_mult=tag(log, interval(0.1, 30))", "clip.norm=tag(log, interval(0.3, 30))")
_FINITE: Final = ("lr.mask_mult=range(1, 128)", "clip.norm=range(1, 128)")  # more than 10,000 points


def plan_of(sampler: str) -> SearchPlan:
    """Return the plan of the preset `mask_head` with another sampler."""
    register_schema()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        settings = replace(settings_of("mask_head", sampler, "successive_halving", 0), enqueue=(), n_trials=_MANY)
    words = _FINITE if sampler in ("grid", "brute_force") else _INTERVALS
    return SearchPlan(NAME, _MANY, ("maximize",), parse_space(words, None), settings, None)


def curve(params: dict[str, Any], number: int) -> list[float]:
    """Mask AP by epoch: best at a multiplier of 8 and a norm of 3, with noise that is a function of the number."""
    distance = math.log10(params["lr.mask_mult"] / 8) ** 2 + 0.3 * math.log10(params["clip.norm"] / 3) ** 2
    best = 0.45 - 0.1 * distance + 0.01 * math.sin(12.9898 * number)
    return [best * (1 - math.exp(-epoch / 4)) for epoch in range(1, EPOCHS + 1)]


def donors(sampler: str, until_s: float) -> Iterator[FrozenTrial]:
    """Yield finished trials, drawn by the sampler itself where it goes by its own notes, else evenly.

    Ends early at `until_s` of `time.monotonic`.
    """
    drawn = _drawn(sampler) if sampler in OWN_NOTES else _spread(finite=sampler == "brute_force")
    for trial in drawn:
        yield trial
        if time.monotonic() > until_s:
            return


def _drawn(sampler: str) -> Iterator[FrozenTrial]:
    plan, study = plan_of(sampler), optuna.create_study(study_name=NAME, direction="maximize")
    for number in itertools.count():
        plan.prepare(study, number)
        trial = study.ask(dict(plan.distributions))
        values = curve(trial.params, number)
        for epoch, value in enumerate(values, start=1):
            trial.report(value, epoch)
        yield _finished(study.tell(trial, max(values)), number)


def _spread(*, finite: bool) -> Iterator[FrozenTrial]:
    """Points of a finite space in order, or at random."""
    distributions, rng = plan_of("grid" if finite else "random").distributions, np.random.default_rng(0)
    points: Iterable[Any] = itertools.product(range(1, 128), repeat=2)
    if not finite:
        points = (10 ** rng.uniform(-0.5, 1.4, 2) for _ in itertools.count())
    for number, point in enumerate(points):
        params = {name: value if finite else float(value) for name, value in zip(distributions, point, strict=True)}
        yield _finished(create_trial(params=params, distributions=dict(distributions), value=0.0), number)


def _finished(trial: FrozenTrial, number: int) -> FrozenTrial:
    values = curve(trial.params, number)
    return create_trial(
        value=max(values),
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=_notes(trial.params, number, values),
        system_attrs=trial.system_attrs,
        intermediate_values=dict(enumerate(values, start=1)),
    )


def _notes(params: dict[str, Any], number: int, values: Sequence[float]) -> dict[str, Any]:
    """What a worker writes to a trial; numbers are a formula's, names and sizes a real one's."""
    losses = {
        loss: {"first": 0.7 / (index + 1), "final": 0.123456, "best": 0.12345, "share": 0.2, "trend": -0.0012345}
        for index, loss in enumerate(LOSSES)
    }
    record = {
        "epochs": len(values),
        "losses": losses,
        "val_losses": dict.fromkeys(LOSSES, 0.1234567),
        "grad_norm": dict.fromkeys(PARTS, 1.234567),
        "clip": dict.fromkeys(PARTS, 0.51234),
        "update_ratio": dict.fromkeys(PARTS, 0.0012345),
        "final": {"mAP/segm_AP": values[-1], "mAP/segm_AP50": 0.5, "mAP/bbox_AP": 0.4, "loss/val": 0.9},
    }
    return {
        attrs.LEASE: f"node{number % 125}:0a1b2c3d:{1000 + number}:{number:012x}",
        attrs.OVERRIDES: ["trainer.epochs=12", *(f"{key}={value}" for key, value in params.items())],
        attrs.FOLDER: str(number),
        attrs.SECONDS: 3600.0,
        attrs.RECORD: record,
    }
