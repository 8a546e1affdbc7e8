"""Which points are tried first, how many there are, and that each is tried once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.points import first_points, is_exhausted, total_trials
from maskrcnn_exp.sweep.settings import SweeperSettings
from maskrcnn_exp.sweep.space import SearchSpace, parse_space
from tests.sweep.sweeps import MULT, sweep, trials_of

GRID = {"_target_": "optuna.samplers.GridSampler"}
BRUTE_FORCE = {"_target_": "optuna.samplers.BruteForceSampler"}


def space(*words: str) -> SearchSpace:
    return parse_space(words)


def settings(*points: Mapping[str, Any], **keys: Any) -> SweeperSettings:
    return SweeperSettings(enqueue=points, **keys)


def test_points_of_a_grid_are_not_enqueued_for_it() -> None:
    grid = settings({"a": 2}, {"a": 1, "b": 4}, sampler=GRID)
    assert first_points(grid, space("a=1,2,3", "b=range(4,6)")) == []
    assert total_trials(grid, space("a=1,2,3", "b=range(4,6)")) == 6  # range ends at 5 as Hydra's does
    beside = settings({"b": 9}, sampler=GRID)
    assert first_points(beside, space("b=range(4,6)")) == [{"b": 9}]
    assert total_trials(beside, space("b=range(4,6)")) == 3


def test_brute_force_ends_with_its_points_and_tries_an_enqueued_one_once() -> None:
    brute = settings({"a": 2}, {"a": 2}, sampler=BRUTE_FORCE)
    assert first_points(brute, space("a=1,2,3")) == [{"a": 2}]
    assert total_trials(brute, space("a=1,2,3")) == 3
    assert total_trials(brute, space("a=interval(0, 1)")) == 20


def test_a_key_that_a_word_fixes_is_left_out_and_one_with_plus_is_found() -> None:
    points = settings({"lr.mask_mult": 1.0, "clip.norm": 10.0}, {"clip.norm": 3.0})
    assert first_points(points, space("+lr.mask_mult=interval(0.1, 30)", "clip.norm=5")) == [{"+lr.mask_mult": 1.0}]


def test_all_that_is_wrong_with_enqueue_is_one_message() -> None:
    wrong = settings({"lr.mask_mlut": 1.0}, {"a": 7}, n_trials=1)
    with pytest.raises(ConfigError) as refused:
        first_points(wrong, space("a=1,2", MULT))
    said = str(refused.value)
    assert "enqueue has 2 points, more than n_trials=1" in said
    assert "lr.mask_mlut is not searched. Did you mean lr.mask_mult?" in said
    assert "a=7 is none of 1, 2" in said


def drawn(*points: Mapping[str, int]) -> list[FrozenTrial]:
    """Return trials that drew a from 0, 1, and b from 0, 1, 2 where a is 1."""
    study = optuna.create_study()
    for point in points:
        study.enqueue_trial(dict(point))
        trial = study.ask()
        if trial.suggest_int("a", 0, 1) == 1:
            trial.suggest_categorical("b", (0, 1, 2))
        trial.set_user_attr(attrs.OVERRIDES, [])
    return study.trials


def test_a_conditional_space_is_exhausted_when_each_branch_is() -> None:
    points = [{"a": 0}, {"a": 1, "b": 0}, {"a": 1, "b": 2}]
    assert not is_exhausted([])
    assert not is_exhausted(drawn(*points))
    assert is_exhausted(drawn({"a": 1, "b": 1}, *points))


def points_of(cwd: Path) -> list[tuple[object, ...]]:
    return sorted(tuple(trial.params.values()) for trial in trials_of(cwd))


def test_a_grid_with_an_enqueued_point_runs_each_once(tmp_path: Path) -> None:
    words = ("lr.mask_mult=1,2,3", "hydra/sweeper/sampler=grid", "hydra.sweeper.enqueue=[{lr.mask_mult: 2}]")
    done = sweep(tmp_path, *words, "epochs=1")
    assert done.returncode == 0, done.stdout
    assert points_of(tmp_path) == [(1,), (2,), (3,)]


def test_brute_force_over_a_conditional_space_stops_when_each_point_ran_once(tmp_path: Path) -> None:
    """Three workers meet two last points: the third must not try one again."""
    done = sweep(
        tmp_path,
        "hydra.sweeper.custom_search_space=spaces.finite",
        "hydra/sweeper/sampler=brute_force",
        "hydra.sweeper.n_trials=20",
        "hydra.sweeper.n_jobs=3",
        "epochs=1",
    )
    assert done.returncode == 0, done.stdout
    assert points_of(tmp_path) == [(1,), (2, 3), (2, 4)]


def test_a_pruner_without_anything_to_compare_is_told(tmp_path: Path) -> None:
    words = (MULT, "hydra.sweeper.metric=null", "hydra/sweeper/pruner=median", "hydra.sweeper.n_trials=1", "epochs=1")
    assert "the pruner has nothing to compare" in sweep(tmp_path, *words).stdout
