"""Points of a search space: those to try first, how many there are, and whether each has been tried."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.override_keys import bare_key
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.settings import SweeperSettings
from maskrcnn_exp.sweep.space import SearchSpace, grid_choices

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["first_points", "is_brute_force", "is_exhausted", "is_grid", "total_trials"]

_Step = tuple[str, BaseDistribution, object]  # a parameter of a trial, in the order in which it was drawn


def is_grid(settings: SweeperSettings) -> bool:
    return str(settings.sampler.get("_target_", "")).endswith("GridSampler")


def is_brute_force(settings: SweeperSettings) -> bool:
    return str(settings.sampler.get("_target_", "")).endswith("BruteForceSampler")


def first_points(settings: SweeperSettings, space: SearchSpace) -> list[dict[str, Any]]:
    """Return what is to be enqueued of `hydra.sweeper.enqueue`.

    A key that a word fixes for every trial is left out. The grid visits its points anyway, so none of them is
    enqueued for it: Optuna would try it twice and another one never. Brute force takes each point once.

    Raises:
        ConfigError: more points than trials, a key that is not searched, a choice that is none.
    """
    problems = [] if len(settings.enqueue) <= settings.n_trials else [_too_many(settings)]
    fixed = {bare_key(word) for word in space.fixed}
    as_searched = {bare_key(key): key for key in space.distributions}
    points: list[dict[str, Any]] = []
    for entry in settings.enqueue:
        known = {as_searched.get(bare_key(key), key): value for key, value in entry.items()}
        known = {key: value for key, value in known.items() if bare_key(key) not in fixed}
        problems += [_problem(key, value, space) for key, value in known.items() if not settings.custom_search_space]
        points.append(known)
    if any(problems):
        raise ConfigError.from_problems([problem for problem in problems if problem])
    if is_grid(settings):
        return [point for point in points if point and not _is_of(space, point)]
    once = [point for number, point in enumerate(points) if point not in points[:number]]
    return [point for point in (once if is_brute_force(settings) else points) if point]


def total_trials(settings: SweeperSettings, space: SearchSpace) -> int:
    """Return `n_trials`, or the number of points where the sampler tries each once and there are fewer.

    Raises:
        ConfigError: as `first_points`; the grid's space has no end.
    """
    first = first_points(settings, space)
    if settings.custom_search_space or not (is_grid(settings) or is_brute_force(settings)):
        return settings.n_trials
    try:
        points = math.prod(len(grid_choices(distribution)) for distribution in space.distributions.values())
    except ConfigError:
        if is_grid(settings):
            raise
        return settings.n_trials  # Optuna refuses it in its own words
    return min(settings.n_trials, points + sum(not _is_of(space, point) for point in first))


def is_exhausted(trials: Iterable[FrozenTrial]) -> bool:
    """Say whether every point of a finite space is among the trials, finished or running.

    The space may be conditional: what a trial drew, in its order, shows which parameters follow on which value.
    Trials that a worker did not get to the point of starting say nothing.
    """
    return _covered(
        [
            [(name, trial.distributions[name], value) for name, value in trial.params.items()]
            for trial in trials
            if attrs.OVERRIDES in trial.user_attrs
        ]
    )


def _covered(paths: Sequence[Sequence[_Step]]) -> bool:
    if not paths:
        return False
    if any(not path for path in paths):
        return True
    name, distribution, _ = paths[0][0]
    same = [path for path in paths if path[0][0] == name]
    return all(
        _covered([path[1:] for path in same if _equal(path[0][2], choice)]) for choice in grid_choices(distribution)
    )


def _equal(first: object, second: object) -> bool:
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-12) or first is second
    return first == second


def _is_of(space: SearchSpace, point: dict[str, Any]) -> bool:
    return all(
        key in space.distributions and any(_equal(value, choice) for choice in grid_choices(space.distributions[key]))
        for key, value in point.items()
    )


def _problem(key: str, value: object, space: SearchSpace) -> str:
    distribution = space.distributions.get(key)
    if distribution is None:
        near = difflib.get_close_matches(key, space.distributions, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Searched are {', '.join(space.distributions)}."
        return f"hydra.sweeper.enqueue: {key} is not searched. {hint}"
    if isinstance(distribution, CategoricalDistribution) and value not in distribution.choices:
        choices = ", ".join(map(str, distribution.choices))
        return (
            f"hydra.sweeper.enqueue: {key}={value} is none of {choices}. hydra.sweeper.enqueue=[] tries no point first."
        )
    return ""


def _too_many(settings: SweeperSettings) -> str:
    return (
        f"hydra.sweeper.enqueue has {len(settings.enqueue)} points, more than n_trials={settings.n_trials}. "
        "Raise n_trials or leave points out."
    )
