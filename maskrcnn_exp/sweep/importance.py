"""Which parameter mattered: Optuna's own importance, or a sentence why there is none."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import FrozenTrial

from maskrcnn_exp.sweep.standing import Standing

__all__ = ["Importance", "importances"]

_LEAST: Final = 4  # completed trials; below, the numbers are chance
_SEED: Final = 0  # the forest is random, and a report must not change without a new trial


@dataclass(frozen=True)
class Importance:
    """The importance of each parameter for one objective."""

    metric: str
    shares: dict[str, float]  # by parameter, the largest first; they add up to 1; empty: see `problem`
    method: str
    problem: str = ""  # why there are no shares


def importances(study: optuna.Study, standing: Standing) -> list[Importance]:
    """Return the importance for each objective.

    fANOVA where scikit-learn is installed (Hutter et al. 2014, "An efficient approach for assessing hyperparameter
    importance"), else PED-ANOVA (Watanabe et al. 2023), which needs nothing more.
    """
    return [_importance(study, standing, index) for index in range(len(standing.metrics))]


def _importance(study: optuna.Study, standing: Standing, index: int) -> Importance:
    metric = standing.metrics[index]
    problem = _problem(standing, index)
    if problem:
        return Importance(metric, {}, "", problem)
    evaluator, method = _evaluator()
    with warnings.catch_warnings():
        # `normalize` is experimental; PED-ANOVA says that it looks at low targets, which `_cost` gives it; a parameter
        # that has one value divides 0 by 0.
        warnings.simplefilter("ignore")
        try:
            shares = get_param_importances(study, evaluator=evaluator, target=_cost(standing, index), normalize=False)
        except (RuntimeError, ValueError) as error:  # no variance in any tree; no parameter that all trials have
            return Importance(metric, {}, method, f"Optuna cannot tell the parameters apart: {error}")
    if len(shares) == 1:
        return Importance(metric, {}, method, f"{next(iter(shares))} is the only parameter that can be compared")
    usable = {name: float(share) for name, share in shares.items() if math.isfinite(share) and share > 0}
    total = sum(usable.values())
    if total == 0:
        return Importance(metric, {}, method, "no parameter explains a difference between the trials")
    shown = {name: usable.get(name, 0.0) / total for name in shares}
    return Importance(metric, dict(sorted(shown.items(), key=lambda item: -item[1])), method)


def _problem(standing: Standing, index: int) -> str:
    values = [trial.values[index] for trial in standing.ranked]
    if len(values) < _LEAST:
        return f"{len(values)} of at least {_LEAST} completed trials: too few to tell"
    if len(set(values)) == 1:
        return "all completed trials have the same value"
    return ""


def _cost(standing: Standing, index: int) -> Callable[[FrozenTrial], float]:
    sign = -1 if standing.maximize[index] else 1
    return lambda trial: sign * float(trial.values[index])


def _evaluator() -> tuple[BaseImportanceEvaluator, str]:
    if importlib.util.find_spec("sklearn") is not None:
        return FanovaImportanceEvaluator(seed=_SEED), "fANOVA"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return PedAnovaImportanceEvaluator(), "PED-ANOVA"
