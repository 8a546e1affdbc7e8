"""Is a gain more than noise? The winner and the default trained anew, pair by pair with seeds the search never saw."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from maskrcnn_exp.compare.repeat_stats import Lost, RepeatVerdict, compare_arms, metric_unit
from maskrcnn_exp.override_keys import bare_key
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.insight import diverged
from maskrcnn_exp.sweep.objective import Direction
from maskrcnn_exp.sweep.plan import ARMS, RepeatPlan
from maskrcnn_exp.sweep.storage import JOURNAL, StorageSpec
from maskrcnn_exp.sweep.study import SharedStudy
from maskrcnn_exp.sweep.trial_config import trial_config
from maskrcnn_exp.sweep.worker import Job

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["earlier_verdict", "repeats_default", "repeats_of", "verdict_of"]

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
    spec, name = _place_of(best, job)
    fixed = tuple(shared.study.user_attrs.get(attrs.FIXED, ()))
    space = {**job.plan.distributions, **best.distributions}  # those of a custom space are known from the trial only
    plan = RepeatPlan(
        study_name=name,
        pairs=job.settings.repeat_best,
        directions=job.plan.directions,
        best_words=tuple(best.user_attrs[attrs.OVERRIDES]),
        default_words=fixed,
        seed_key=job.settings.seed_key,
        first_seed=_FIRST_SEED,
        shown={"best": best.params, "default": _configured(_composed(job, fixed), space)},
        space=space,
    )
    return replace(
        job,
        spec=spec,
        plan=plan,
        settings=job.settings.without_pruning(),
        config=trial_config(config, spec),
        pool=uuid.uuid4().hex[:12],
    )


def repeats_default(repeats: Job) -> bool:
    """Say whether the winner is the default itself: both compose to one configuration, whatever their words."""
    assert isinstance(repeats.plan, RepeatPlan)
    best, default = (_composed(repeats, repeats.plan.words_of(arm)) for arm in ARMS)
    return best is not None and default is not None and _program(best) == _program(default)


def earlier_verdict(best: FrozenTrial, job: Job, metric: Sequence[str]) -> RepeatVerdict | None:
    """Return what repeats of this winner said that an earlier command trained; None where none of them finished."""
    import optuna

    spec, name = _place_of(best, job)
    if spec.url is None and not (spec.folder / JOURNAL).is_file():
        return None
    storage = spec.open()
    if name not in optuna.get_all_study_names(storage):
        return None
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    if not any(trial.state.is_finished() for trial in trials):
        return None
    return verdict_of(trials, job.plan.directions[0], metric)


def _place_of(best: FrozenTrial, job: Job) -> tuple[StorageSpec, str]:
    spec = replace(job.spec, folder=job.spec.folder / "repeat" / str(best.number))
    return spec, f"{job.plan.study_name}/repeat_of_{best.number}"


def _composed(job: Job, words: Sequence[str]) -> Any | None:
    """Return the configuration of a training with these words; None where they do not compose."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return job.hydra_context.config_loader.load_sweep_config(job.config, list(words))
    except (HydraException, OmegaConfBaseException):  # the repeat itself fails and says why
        return None


def _program(config: Any) -> dict[str, Any]:
    """Return what the program gets to see."""
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(config, resolve=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items() if key != "hydra"}


def _configured(config: Any | None, keys: Iterable[str]) -> dict[str, object]:
    """Return what stands under these keys of a space: a value, or the choice of a group."""
    from omegaconf import OmegaConf

    if config is None:
        return {}
    choices, found = config.hydra.runtime.choices, {}
    for key in keys:
        path = bare_key(key)
        value = choices[path] if path in choices else OmegaConf.select(config, path)
        if value is not None:
            found[key] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return found


def verdict_of(repeats: Sequence[FrozenTrial], direction: Direction, metric: Sequence[str]) -> RepeatVerdict:
    """Compare the finished repeats, seed by seed; one that ended without a usable value is counted as lost."""
    values: dict[str, dict[int, float]] = {arm: {} for arm in ARMS}
    lost = dict.fromkeys(ARMS, Lost())
    for trial in repeats:
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
