"""`best.yaml` and the peer's file, after every kind of study."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from maskrcnn_exp.sweep.attrs import OVERRIDES
from maskrcnn_exp.sweep.results import BEST_FILE, PEER_FILE, checkpoint_of, write_results
from tests.sweep.study_examples import add, mask_head_study, new_study, two_objective_study

COMMAND = "python -m maskrcnn_exp train"


def written(study: optuna.Study, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    write_results(study, folder, COMMAND)
    return tuple(yaml.safe_load((folder / name).read_text()) for name in (BEST_FILE, PEER_FILE))  # type: ignore[return-value]


def test_best_trial_can_be_found_and_trained_again(tmp_path: Path) -> None:
    study = new_study()
    add(study, {"lr.mask_mult": 1.0}, 0.30)
    add(study, {"lr.mask_mult": 8.25}, 0.43)
    add(study, {"lr.mask_mult": 29.0}, state=TrialState.FAIL, reason="loss_mask is not finite")
    checkpoint = tmp_path / "1" / "checkpoints" / "best.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    best, peer = written(study, tmp_path)
    assert best["metric"] == "mAP/segm_AP@best"
    assert best["direction"] == "maximize"
    assert best["trials"] == {
        "finished": 3,
        "completed": 2,
        "pruned": 0,
        "failed": 1,
        "running": 0,
        "waiting": 0,
        "all": 3,
    }
    assert best["best"] == {
        "trial": 1,
        "folder": str(tmp_path / "1"),
        "checkpoint": str(checkpoint),
        "value": 0.43,
        "params": {"lr.mask_mult": 8.25},
        "overrides": ["trainer.epochs=6", "lr.mask_mult=8.25"],
        "seeds": [],
        "command": f"{COMMAND} trainer.epochs=6 lr.mask_mult=8.25",
    }
    assert peer == {"name": "optuna", "best_params": {"lr.mask_mult": 8.25}, "best_value": 0.43}


def test_every_word_survives_the_shell(tmp_path: Path) -> None:
    trial = add(new_study(), {}, 0.3)
    words = ["a=[1, 2]", "b='it''s'", "c=$HOME", 'd="x"', "~e", "f=ü 🎭"]
    trial.user_attrs[OVERRIDES] = words
    other = new_study()
    other.add_trial(trial)
    command = written(other, tmp_path)[0]["best"]["command"]
    assert shlex.split(command) == [*COMMAND.split(), *words]


def test_seed_is_read_from_the_words_or_from_what_the_run_composed(tmp_path: Path) -> None:
    study = new_study()
    add(study, {}, 0.3)
    hydra = tmp_path / "0" / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "config.yaml").write_text("seed: 17\nlr: {mask_mult: 1.0}\n")
    assert written(study, tmp_path)[0]["best"]["seeds"] == [17]
    trial = study.trials[0]
    trial.user_attrs[OVERRIDES] = ["seed=3", "dataset.seed=4"]
    other = new_study()
    other.add_trial(trial)
    assert written(other, tmp_path)[0]["best"]["seeds"] == [3]


def test_the_seed_may_have_another_key(tmp_path: Path) -> None:
    study = new_study()
    trial = add(study, {}, 0.3)
    hydra = tmp_path / "0" / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "config.yaml").write_text("seed: 1\nrandom: {seed: 17}\n")
    write_results(study, tmp_path, COMMAND, "random.seed")
    assert yaml.safe_load((tmp_path / BEST_FILE).read_text())["best"]["seeds"] == [17]
    trial.user_attrs[OVERRIDES] = ["seed=1", "++random.seed=5"]
    other = new_study()
    other.add_trial(trial)
    write_results(other, tmp_path, COMMAND, "random.seed")
    assert yaml.safe_load((tmp_path / BEST_FILE).read_text())["best"]["seeds"] == [5]


def test_nothing_completed_is_said_with_reasons(tmp_path: Path) -> None:
    study = new_study()
    add(study, {"lr.mask_mult": 29.0}, state=TrialState.FAIL, reason="loss_mask is not finite at step 4")
    add(study, {"lr.mask_mult": 28.0}, state=TrialState.FAIL, reason="loss_mask is not finite at step 9")
    best, peer = written(study, tmp_path)
    assert best["best"] is None
    assert best["reasons"] == [
        {"count": 2, "state": "failed", "reason": "loss_mask is not finite at step 4", "trials": [0, 1]}
    ]
    assert peer == {"name": "optuna", "best_params": {}, "best_value": None}


def test_empty_study_has_files_too(tmp_path: Path) -> None:
    best, _ = written(new_study(), tmp_path)
    assert best["best"] is None
    assert best["trials"]["all"] == 0


def test_infinite_value_is_not_the_best(tmp_path: Path) -> None:
    study = new_study()
    add(study, {"lr.mask_mult": 29.0}, math.inf)
    assert written(study, tmp_path)[0]["best"] is None
    add(study, {"lr.mask_mult": 2.0}, 0.2)
    assert written(study, tmp_path)[0]["best"]["trial"] == 1


def test_pareto_front_is_a_list_of_the_same(tmp_path: Path) -> None:
    study = two_objective_study()
    best, peer = written(study, tmp_path)
    numbers = sorted(trial.number for trial in study.best_trials)
    assert [entry["trial"] for entry in best["pareto"]] == numbers
    assert "best" not in best
    first = best["pareto"][0]
    assert list(first["values"]) == ["mAP/segm_AP@best", "time/step_s@sum"]
    assert first["command"].startswith(f"{COMMAND} trainer.epochs=6 clip.norm=")
    assert peer["name"] == "optuna"
    assert [solution["values"] for solution in peer["solutions"]] == [study.trials[number].values for number in numbers]


def test_study_of_another_program_is_written_with_what_it_has(tmp_path: Path) -> None:
    study = optuna.create_study(direction="minimize")
    with pytest.warns(UserWarning, match="persistent storage"):
        distribution = CategoricalDistribution(((1, 2), "a"))  # type: ignore[arg-type]
    study.add_trial(optuna.trial.create_trial(value=0.5, params={"x": (1, 2)}, distributions={"x": distribution}))
    best, _ = written(study, tmp_path)
    assert best["metric"] == "value"
    assert best["best"]["params"] == {"x": [1, 2]}
    assert best["best"]["overrides"] == []
    assert best["best"]["folder"] == str(tmp_path / "0")


def test_rewriting_leaves_only_the_new_files(tmp_path: Path) -> None:
    study = mask_head_study(6)
    written(study, tmp_path)
    before = (tmp_path / BEST_FILE).read_text()
    add(study, {"lr.mask_mult": 8.0}, 0.9)
    written(study, tmp_path)
    assert (tmp_path / BEST_FILE).read_text() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST_FILE, PEER_FILE]


@pytest.mark.parametrize(("names", "expected"), [([], None), (["last"], "last"), (["last", "best"], "best")])
def test_last_checkpoint_stands_in_for_the_best(tmp_path: Path, names: list[str], expected: str | None) -> None:
    (tmp_path / "checkpoints").mkdir()
    for name in names:
        (tmp_path / "checkpoints" / f"{name}.pt").touch()
    found = checkpoint_of(tmp_path)
    assert (found.stem if found else None) == expected
