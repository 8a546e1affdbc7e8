"""The settings under `hydra.sweeper`: normalised, checked at once, and the samplers and pruners they build."""

from __future__ import annotations

import enum
import pickle
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from omegaconf import OmegaConf
from optuna.distributions import FloatDistribution

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep.factories import make_pruner, make_sampler
from maskrcnn_exp.sweep.settings import SweeperSettings, build_pruner, build_sampler

TPE = {"_target_": "optuna.samplers.TPESampler"}
X = FloatDistribution(0, 1)


class Direction(enum.Enum):
    """As hydra-optuna-sweeper's."""

    minimize = 1
    maximize = 2


def settings(**keys: Any) -> SweeperSettings:
    return SweeperSettings.from_config(keys)


def problem(**keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(**keys).check()
    return str(caught.value)


def test_the_defaults_are_a_study_that_can_run() -> None:
    settings().check()
    assert settings().direction is None
    assert settings().metric == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("minimize", ("minimize",)),
        ("Direction.maximize", ("maximize",)),
        (Direction.minimize, ("minimize",)),
        (optuna.study.StudyDirection.MAXIMIZE, ("maximize",)),
        (["minimize", Direction.maximize], ("minimize", "maximize")),
        (OmegaConf.create(["minimize", "maximize"]), ("minimize", "maximize")),
    ],
)
def test_every_way_to_write_a_direction_is_understood(given: Any, expected: Any) -> None:
    assert settings(direction=given).direction == expected


def test_one_metric_and_a_list_of_metrics_are_both_lists() -> None:
    assert settings(metric="mAP/segm_AP").metric == ("mAP/segm_AP",)
    assert settings(metric=["mAP/segm_AP", "time/epoch_s@sum"]).metric == ("mAP/segm_AP", "time/epoch_s@sum")


def test_the_peers_storage_object_is_taken_for_its_url() -> None:
    storage = OmegaConf.create({"_target_": "optuna.storages.RDBStorage", "url": "sqlite:///x.db"})
    assert settings(storage=storage).storage == "sqlite:///x.db"


def test_a_password_is_in_no_repr_and_no_message() -> None:
    url = "postgresql://me:sesame@host/db"
    assert "sesame" not in repr(settings(storage=url))
    assert "sesame" not in problem(storage=url.replace("://", ":"), n_trials=0)


def test_lists_in_enqueued_parameters_are_stored_as_text() -> None:
    (params,) = settings(enqueue=[{"lr.mask_mult": 1.0, "model.min_size": [64, 96]}]).enqueue
    assert params == {"lr.mask_mult": 1.0, "model.min_size": "[64,96]"}


def test_settings_of_a_composed_configuration_are_plain_and_travel() -> None:
    config = OmegaConf.create({"params": {"a": "choice(${n},2)"}, "sampler": TPE, "n": 1})
    result = settings(params=config.params, sampler=config.sampler, health={"warmup_epochs": 5})
    assert result.params == {"a": "choice(1,2)"}
    assert type(result.sampler) is dict
    assert pickle.loads(pickle.dumps(result)) == result


PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "n_trials": ({"n_trials": 0}, "hydra.sweeper.n_trials=0 must be ≥ 1."),
    "whole": ({"n_jobs": 1.5}, "hydra.sweeper.n_jobs=1.5 must be ≥ 1."),
    "rate": (
        {"max_failure_rate": 1.1},
        "hydra.sweeper.max_failure_rate=1.1 must be between 0 and 1, a share of n_trials.",
    ),
    "keep": ({"keep_checkpoints": 0}, "hydra.sweeper.keep_checkpoints=0 must be ≥ 1, or null to keep all."),
    "repeat": ({"repeat_best": -1}, "hydra.sweeper.repeat_best=-1 must be ≥ 0."),
    "seed": ({"seed": -1}, "hydra.sweeper.seed=-1 must be between 0 and 2**32 - 1, or null."),
    "sampler seed": ({"sampler": {**TPE, "seed": -1}}, "hydra.sweeper.sampler.seed=-1 must be between"),
    "grace": ({"grace_seconds": 0}, "hydra.sweeper.grace_seconds=0 must be ≥ 1."),
    "health": ({"health": {"explode_factor": 0.5}}, "hydra.sweeper.health.explode_factor=0.5 must be ≥ 1."),
    "name": ({"study_name": " "}, "hydra.sweeper.study_name is empty."),
    "storage": ({"storage": "study.db"}, "hydra.sweeper.storage is no URL. Write it as sqlite:///study.db"),
    "seed key": ({"seed_key": ""}, "hydra.sweeper.seed_key is empty."),
    "custom": ({"custom_search_space": "my function"}, "hydra.sweeper.custom_search_space=my function must be"),
    "direction": ({"direction": "up"}, "hydra.sweeper.direction=up must be minimize or maximize, or null"),
    "no direction": ({"direction": []}, "hydra.sweeper.direction is an empty list."),
    "counts": (
        {"direction": "minimize", "metric": ["a", "b"]},
        "hydra.sweeper.direction has 1 entries and metric has 2. Give one each.",
    ),
    "pruner": (
        {"metric": ["a", "b"], "pruner": {"_target_": "optuna.pruners.MedianPruner"}},
        "hydra.sweeper.pruner works with one objective, got 2. Use hydra/sweeper/pruner=none.",
    ),
    "cmaes": (
        {"direction": ["minimize"] * 2, "sampler": {"_target_": "optuna.samplers.CmaEsSampler"}},
        "hydra.sweeper.sampler cmaes has one objective, got 2.",
    ),
    "winner": ({"metric": ["a", "b"], "repeat_best": 3}, "hydra.sweeper.repeat_best needs one objective"),
    "threshold": (
        {"pruner": {"_target_": "optuna.pruners.ThresholdPruner", "lower": None, "upper": None}},
        "hydra.sweeper.pruner: ThresholdPruner: Either lower or upper must be specified.",
    ),
    "no sampler": (
        {"sampler": {"_target_": "optuna.samplers.MOTPESampler"}},
        "optuna.samplers.MOTPESampler cannot be imported",
    ),
    "a pruner": (
        {"sampler": {"_target_": "optuna.pruners.NopPruner"}},
        "is not a class derived from BaseSampler",
    ),
    "not a class": (
        {"pruner": {"_target_": "optuna.create_study"}},
        "hydra.sweeper.pruner._target_=optuna.create_study",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_nonsense_is_refused_with_key_value_and_range(name: str) -> None:
    keys, message = PROBLEMS[name]
    assert message in problem(**keys)
    assert "\n" not in problem(**keys)


def test_all_problems_come_in_one_error() -> None:
    text = problem(n_trials=0, n_jobs=0, direction="up", sampler={**TPE, "nonsense": 1})
    assert text.startswith("4 problems in the configuration:")


def test_without_pruning_nothing_stops_a_trial() -> None:
    result = settings(pruner={"_target_": "optuna.pruners.MedianPruner"}).without_pruning()
    assert type(build_pruner(result)) is optuna.pruners.NopPruner
    assert not result.health.enabled


def drawn(keys: dict[str, Any], number: int | None, grid: Any = None) -> Any:
    """Return the first point of a study that never had another trial."""
    study = optuna.create_study(sampler=build_sampler(settings(**keys), number, grid))
    return study.ask({"x": X}).params["x"]


def test_a_seeded_sampler_built_again_repeats_a_trial_and_no_other() -> None:
    keys = {"sampler": {**TPE, "seed": 7}}
    assert drawn(keys, 0) == drawn(keys, 0)
    assert len({drawn(keys, number) for number in range(20)}) == 20


def test_the_samplers_own_seed_wins_over_the_studys() -> None:
    own = {"sampler": {**TPE, "seed": 7}, "seed": 1}
    assert drawn(own, 3) == drawn({"seed": 7}, 3)
    assert drawn(own, 3) != drawn({"seed": 1}, 3)
    assert settings(sampler={**TPE, "seed": 0}, seed=1).sampler_seed == 0


def test_an_unseeded_sampler_draws_another_study_each_time() -> None:
    assert drawn({}, 0) != drawn({}, 0)


def test_grid_points_are_numbered_alike_in_every_process() -> None:
    """Each trial builds its sampler anew; together they must visit every point once."""
    keys = {"sampler": {"_target_": "optuna.samplers.GridSampler", "_partial_": True, "seed": 3}}
    values = [0.0, 0.25, 0.5, 0.75, 1.0]
    study = optuna.create_study()
    points = []
    for number in range(len(values)):
        study.sampler = build_sampler(settings(**keys), number, {"x": values})
        points.append(study.ask({"x": X}).params["x"])
    assert sorted(points) == values


def test_quasi_random_points_come_from_one_sequence_over_rebuilt_samplers() -> None:
    """The first point is drawn at random; those after it are Sobol's: one in each sixteenth of [0, 1]."""
    keys = {"sampler": {"_target_": "optuna.samplers.QMCSampler", "scramble": True}}
    study = optuna.create_study()
    points = []
    for number in range(17):
        study.sampler = build_sampler(settings(**keys), number)
        trial = study.ask({"x": X})
        study.tell(trial, 0.0)
        points.append(trial.params["x"])
    assert sorted(int(16 * point) for point in points[1:]) == list(range(16))


def test_the_peers_given_up_arguments_are_accepted_at_their_default() -> None:
    """No FutureWarning either, which would be an error in tests."""
    peer = {"consider_prior": True, "prior_weight": 1.0, "consider_magic_clip": True, "consider_endpoints": False}
    make_sampler({**TPE, **peer, "n_startup_trials": 10, "multivariate": False}, None, None, None)
    cma = {"_target_": "optuna.samplers.CmaEsSampler", "restart_strategy": None, "inc_popsize": 2, "x0": None}
    make_sampler(cma, None, None, None)


def test_an_argument_that_optuna_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"TPESampler of Optuna .* has no n_wings=2\. It takes: .*n_startup_trials"):
        make_sampler({**TPE, "n_wings": 2, "n_tails": None}, None, None, None)


def test_the_name_of_motpes_candidates_is_translated() -> None:
    sampler = make_sampler(
        {**TPE, "multivariate": True, "n_ehvi_candidates": 9, "n_ei_candidates": None}, 0, None, None
    )
    assert sampler._n_ei_candidates == 9  # type: ignore[attr-defined]


def test_nested_objects_are_built() -> None:
    median = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 3}
    pruner = make_pruner({"_target_": "optuna.pruners.PatientPruner", "wrapped_pruner": median, "patience": 2})
    assert pruner._wrapped_pruner._n_startup_trials == 3  # type: ignore[attr-defined]
    crossover = {"_target_": "optuna.samplers.nsgaii.BLXAlphaCrossover", "alpha": 0.3}
    sampler = make_sampler({"_target_": "optuna.samplers.NSGAIISampler", "crossover": crossover}, 0, None, None)
    assert isinstance(sampler, optuna.samplers.NSGAIISampler)
    independent = {"_target_": "optuna.samplers.RandomSampler", "seed": 3}
    make_sampler({"_target_": "optuna.samplers.GPSampler", "independent_sampler": independent}, 0, 4, None)


def test_a_class_of_the_users_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_pruners.py").write_text(
        "from optuna.pruners import NopPruner\n"
        "class Mine(NopPruner):\n"
        "    def __init__(self, limit: int = 3) -> None:\n"
        "        self.limit = limit\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_pruners", raising=False)
    assert make_pruner({"_target_": "my_pruners.Mine", "limit": 5}).limit == 5  # type: ignore[attr-defined]
