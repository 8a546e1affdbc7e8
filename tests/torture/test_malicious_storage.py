"""A study's storage into which somebody else wrote: nothing runs, and nothing outside of the study's folder is read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import CmaEsSampler
from optuna.storages import BaseStorage
from optuna.trial import TrialState, create_trial

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.override_keys import refuse_hydra_words
from maskrcnn_exp.sweep.attrs import FOLDER, OVERRIDES
from maskrcnn_exp.sweep.factories import make_sampler
from maskrcnn_exp.sweep.storage import StorageSpec
from maskrcnn_exp.sweep.trial_text import (
    run_folder,
    train_command,
)
from tests.sweep.postgresql import Server
from tests.sweep.sweeps import MULT, folder_of, sweep

CMAES = {"_target_": "optuna.samplers.CmaEsSampler", "n_startup_trials": 1}


class _Payload:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def objective(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)


def cmaes_study(storage: BaseStorage) -> optuna.Study:
    study = optuna.create_study(storage=storage, study_name="s", load_if_exists=True)
    study.sampler = make_sampler(CMAES, 0, len(study.trials), None)
    return study


KINDS = ["sqlite", "journal", "postgresql"]


def url_of(kind: str, folder: Path, request: pytest.FixtureRequest) -> str | None:
    if kind == "postgresql":
        server: Server = request.getfixturevalue("postgresql")
        return server.new_database()
    return f"sqlite:///{folder / 'study.db'}" if kind == "sqlite" else None


@pytest.mark.parametrize("kind", KINDS)
def test_the_pickle_in_which_cma_es_keeps_its_state_runs_nothing(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    storage = StorageSpec(tmp_path, url_of(kind, tmp_path, request)).open()
    study = cmaes_study(storage)
    study.optimize(objective, n_trials=8)  # its own state is read again
    (key,) = {name for trial in study.trials for name in trial.system_attrs if name.endswith("optimizer:0")}
    row = create_trial(
        value=0.0,
        params={"x": 0.5, "y": 0.5},
        distributions={"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)},
        system_attrs={key: pickle.dumps(_Payload(tmp_path / "trace")).hex()},
    )
    study.add_trial(row)
    with pytest.raises(ConfigError, match=r"it names (posix|nt|os)\.mkdir"):
        study.ask({"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)})
    assert not (tmp_path / "trace").exists()
    assert isinstance(study.sampler, CmaEsSampler)
    if kind != "journal":
        storage.engine.dispose()  # type: ignore[attr-defined]


def test_a_noted_folder_outside_of_the_studys_is_not_looked_into(tmp_path: Path) -> None:
    for noted in ("/etc", "../elsewhere", "a/../../b"):
        trial = create_trial(value=0.0, user_attrs={FOLDER: noted})
        assert run_folder(trial, tmp_path) == tmp_path / str(trial.number)
    assert run_folder(create_trial(value=0.0, user_attrs={FOLDER: "repeat/7/0"}), tmp_path) == tmp_path / "repeat/7/0"


def test_words_in_the_storage_are_quoted_for_the_shell() -> None:
    trial = create_trial(value=0.0, user_attrs={OVERRIDES: ["a=$(touch trace)", "b=;rm -r ."]})
    assert train_command(trial, "train") == "train 'a=$(touch trace)' 'b=;rm -r .'"
    trial = create_trial(
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
        value=0.0,
        user_attrs={OVERRIDES: {"no": "list"}},
    )
    assert train_command(trial, "train") == "train x=0.5"


@pytest.mark.parametrize(
    "word",
    [
        "hydra.callbacks.x._target_=os.mkdir",
        "+hydra.job_logging.x=1",
        "++hydra/launcher=joblib",
        "hydra=evil",
        "augment@hydra.callbacks.x=none",
        "+augment@hydra.job_logging:x=1",
        "~hydra.sweeper",
    ],
)
def test_a_trials_words_cannot_reach_hydras_own_keys(word: str) -> None:
    with pytest.raises(ConfigError, match="Hydra's own keys"):
        refuse_hydra_words(["lr.base=1", word])


def test_words_of_a_trial_pass_that_only_look_alike() -> None:
    refuse_hydra_words(["lr.hydra=1", "hydraulic.x=2", "augment=hydra", "augment@x=none"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_waiting_trial_that_somebody_else_put_into_the_study_runs_nothing(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    """It has a parameter by the name of a Hydra key; words made of it would be a callback."""
    url = url_of(kind, tmp_path, request)
    words = (MULT, *([] if url is None else [f"hydra.sweeper.storage='{url}'"]))
    first = sweep(tmp_path, *words, "hydra.sweeper.n_trials=1")
    assert first.returncode == 0, first.stdout
    storage = StorageSpec(folder_of(tmp_path), url).open()
    study = optuna.load_study(study_name="s", storage=storage)
    key, value = "+hydra.callbacks.x", '{_target_: "os.mkdir", path: "trace"}'
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            params={"lr.mask_mult": 1.0, key: value},
            distributions={
                "lr.mask_mult": FloatDistribution(0.1, 30, log=True),
                key: CategoricalDistribution([value]),
            },
            user_attrs={FOLDER: "../../elsewhere", OVERRIDES: [f"{key}={value}"]},
        )
    )
    if url is not None:
        storage.engine.dispose()  # type: ignore[attr-defined]
    second = sweep(tmp_path, *words, "hydra.sweeper.n_trials=2")
    assert second.returncode != 0
    assert "a trial's words cannot set Hydra's own keys" in second.stdout
    assert not list(tmp_path.rglob("trace"))
