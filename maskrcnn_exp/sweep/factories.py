"""Samplers and pruners from their configuration, for every Optuna from 4.9 on.

The configuration names more constructor arguments than any one version has: those of hydra-optuna-sweeper, of Optuna
4.9 and of 5. One that says nothing (null, or the default) is left out; one that asks for something which the installed
Optuna cannot do is an error.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, QMCSampler, RandomSampler
from optuna.samplers.nsgaii import BaseCrossover

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.named_code import named_class
from maskrcnn_exp.sweep.cma_state import checking_its_state

__all__ = ["make_pruner", "make_sampler"]

_RENAMED: Final = {"n_ehvi_candidates": "n_ei_candidates"}
"""MOTPE, which is TPE since Optuna 3, had its own name for this one."""

_SAYS_NOTHING: Final[dict[str, tuple[object, ...]]] = {
    "consider_prior": (True,),
    "prior_weight": (1.0,),
    "consider_magic_clip": (True,),
    "consider_endpoints": (False,),
    "inc_popsize": (2, -1),
}
"""The peer's defaults of arguments that Optuna gave up; they are what Optuna does anyway."""


def make_sampler(
    config: Mapping[str, Any], seed: int | None, trial_number: int | None, grid: Mapping[str, Sequence[Any]] | None
) -> BaseSampler:
    """Return a new sampler; `build_sampler` in settings.py describes the arguments."""
    cls = _class_of(config, "sampler", BaseSampler)
    arguments = _arguments(cls, config, "sampler")
    trial_seed = _mixed(seed, trial_number)
    if issubclass(cls, CmaEsSampler):
        cls = checking_its_state(cls)
    if issubclass(cls, GridSampler):
        arguments["search_space"] = dict(grid or {})
        arguments["seed"] = seed or 0  # every process must number the points of the grid alike
    elif issubclass(cls, QMCSampler):
        arguments["seed"] = seed or 0  # one sequence for the whole study
        arguments.setdefault("independent_sampler", RandomSampler(trial_seed))
    elif trial_seed is not None and "seed" in inspect.signature(cls).parameters:
        arguments["seed"] = trial_seed
    sampler: BaseSampler = _built(cls, arguments, "sampler")
    return sampler


def make_pruner(config: Mapping[str, Any]) -> BasePruner:
    """Return a new pruner; `build_pruner` in settings.py describes the arguments."""
    cls = _class_of(config, "pruner", BasePruner)
    pruner: BasePruner = _built(cls, _arguments(cls, config, "pruner"), "pruner")
    return pruner


def _mixed(seed: int | None, trial_number: int | None) -> int | None:
    if seed is None or trial_number is None:
        return seed
    return int(np.random.SeedSequence([seed, trial_number]).generate_state(1)[0])


def _class_of(config: Mapping[str, Any], key: str, base: type) -> type:
    target = config.get("_target_")
    where = f"hydra.sweeper.{key}._target_={target}"
    try:
        return named_class(str(target), (base,), where)
    except ConfigError as error:
        raise ConfigError(
            f"{error} Expected a class such as those of hydra/sweeper/{key}=… (Optuna {optuna.__version__})."
        ) from error


def _arguments(cls: type, config: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return what the constructor is to get.

    Raises:
        ConfigError: an argument asks for something that the class does not know.
    """
    known = inspect.signature(cls).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    arguments, refused = {}, []
    for name, value in config.items():
        renamed = _RENAMED.get(name, name) if name not in known else name
        if name.startswith("_") or _says_nothing(renamed, value, known):
            continue
        if renamed in known or takes_any:
            arguments[renamed] = _instantiated(value)
        else:
            refused.append(f"{name}={value}")
    if refused:
        raise ConfigError(
            f"hydra.sweeper.{key}: {cls.__name__} of Optuna {optuna.__version__} has no {', '.join(refused)}. "
            f"It takes: {', '.join(name for name in known if name != 'self')}."
        )
    return arguments


def _says_nothing(name: str, value: Any, known: Mapping[str, inspect.Parameter]) -> bool:
    if value is None or any(value == default for default in _SAYS_NOTHING.get(name, ())):
        return True
    return name in known and type(known[name].default) is type(value) and bool(known[name].default == value)


def _instantiated(value: Any) -> Any:
    """Build what has a _target_ itself: an independent sampler, a wrapped pruner, a crossover."""
    if not isinstance(value, Mapping):
        return value
    if "_target_" not in value:
        return dict(value)
    target = str(value["_target_"])
    cls = named_class(target, (BaseSampler, BasePruner, BaseCrossover), f"hydra.sweeper: _target_={target}")
    if issubclass(cls, BaseSampler):
        return _nested_sampler(value)
    if issubclass(cls, BasePruner):
        return make_pruner(value)
    return _built(cls, _arguments(cls, value, "sampler.crossover"), "sampler.crossover")


def _nested_sampler(config: Mapping[str, Any]) -> BaseSampler:
    return make_sampler(config, config.get("seed"), None, None)


def _built(cls: type, arguments: Mapping[str, Any], key: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # the user chose it by name
            return cls(**arguments)
    except ImportError as error:
        needed = f" Install {error.name}." if error.name else ""
        raise ConfigError(
            f"hydra.sweeper.{key}: {cls.__name__} needs a package: {_first_line(error)}{needed}"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"hydra.sweeper.{key}: {cls.__name__}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
