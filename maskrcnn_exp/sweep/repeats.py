"""Is a gain more than noise? The winner and the default trained anew, pair by pair with seeds the search never saw."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.insight import diverged
from maskrcnn_exp.sweep.objective import Direction
from maskrcnn_exp.sweep.plan import ARMS, RepeatPlan
from maskrcnn_exp.sweep.repeat_stats import Lost, RepeatVerdict, compare_arms, metric_unit
from maskrcnn_exp.sweep.study import SharedStudy
from maskrcnn_exp.sweep.trial_config import trial_config
from maskrcnn_exp.sweep.worker import Job

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["repeats_of", "verdict_of"]

_FIRST_SEED: Final = 1000
"""Far from the trials' own seed: a winner must win elsewhere than where it was chosen."""


def repeats_of(best: FrozenTrial, shared: SharedStudy, job: Job, config: Any) -> Job:
    """Return the job of the repeats: a study of its own in `repeat/<trial>`, in the same storage, without pruning.

    Args:
        best: The winner of the search; it has its words.
        shared: The search.
        job: The search's.
        config: The sweep's configuration, as Hydra gave it.
    """
    spec = replace(job.spec, folder=job.spec.folder / "repeat" / str(best.number))
    plan = RepeatPlan(
        study_name=f"{job.plan.study_name}/repeat_of_{best.number}",
        pairs=job.settings.repeat_best,
        directions=job.plan.directions,
        best_words=tuple(best.user_attrs[attrs.OVERRIDES]),
        default_words=tuple(shared.study.user_attrs.get(attrs.FIXED, ())),
        seed_key=job.settings.seed_key,
        first_seed=_FIRST_SEED,
    )
    return replace(
        job,
        spec=spec,
        plan=plan,
        settings=job.settings.without_pruning(),
        config=trial_config(config, spec),
        pool=uuid.uuid4().hex[:12],
    )


def verdict_of(repeats: SharedStudy, direction: Direction, metric: Sequence[str]) -> RepeatVerdict:
    """Compare the finished repeats, seed by seed; one that ended without a usable value is counted as lost."""
    values: dict[str, dict[int, float]] = {arm: {} for arm in ARMS}
    lost = dict.fromkeys(ARMS, Lost())
    for trial in repeats.trials:
        arm = trial.user_attrs.get(attrs.ARM)
        if arm is None or not trial.state.is_finished():
            continue
        if trial.state.name == "COMPLETE" and math.isfinite(trial.values[0]):
            values[arm][trial.user_attrs[attrs.SEED]] = trial.values[0]
        else:
            lost[arm] = Lost(lost[arm].repeats + 1, lost[arm].diverged + diverged(trial))
    best, default = (values[arm] for arm in ARMS)
    scale, unit = metric_unit(metric[0]) if metric else (1.0, "")
    return compare_arms(
        list(best.values()),
        list(default.values()),
        direction,
        scale,
        unit=unit,
        best_seeds=list(best),
        default_seeds=list(default),
        best_lost=lost["best"],
        default_lost=lost["default"],
    )
