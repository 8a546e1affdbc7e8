"""A study has one folder, and a folder one study; and when a study may start over."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.ownership import came_to_nothing, check_folder, claim_folder, put_aside
from maskrcnn_exp.sweep.presence import Presence
from maskrcnn_exp.sweep.storage import StorageSpec
from tests.sweep.sweeps import MULT, folder_of, start_sweep, starts_of, sweep, trials_of, wait_until


def study(*states: TrialState) -> optuna.Study:
    made = optuna.create_study(study_name="s")
    for state in states:
        made.add_trial(create_trial(state=state, value=1.0 if state == TrialState.COMPLETE else None))
    return made


@pytest.fixture
def claimed(tmp_path: Path) -> optuna.Study:
    """A study whose folder is `a` below the test's."""
    made = study(TrialState.COMPLETE)
    claim_folder(made, tmp_path / "a", is_new=True)
    return made


def test_a_study_finds_its_folder_again_also_where_it_was_moved(claimed: optuna.Study, tmp_path: Path) -> None:
    (tmp_path / "a" / "0").mkdir()
    check_folder(tmp_path / "a", "s", claimed)
    shutil.move(tmp_path / "a", tmp_path / "b")
    check_folder(tmp_path / "b", "s", claimed)


def test_a_study_in_a_second_folder_is_refused_with_its_first(claimed: optuna.Study, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"study s belongs to another folder than .*/b: it was made in .*/a,"):
        check_folder(tmp_path / "b", "s", claimed)
    claim_folder(study(), tmp_path / "b", is_new=True)  # of the same name, in another storage
    with pytest.raises(ConfigError, match="belongs to another folder"):
        check_folder(tmp_path / "b", "s", claimed)


def test_another_study_in_the_folder_is_refused(claimed: optuna.Study, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"belongs to study s, not to t: .* hydra\.sweep\.dir=… another folder"):
        check_folder(tmp_path / "a", "t", None)


@pytest.mark.parametrize("has_id", [True, False])
def test_a_new_study_takes_no_folder_with_trials_in_it(has_id: bool, tmp_path: Path) -> None:
    """Else its first trial would go on from a checkpoint of another study's."""
    if has_id:
        claim_folder(study(), tmp_path, is_new=True)  # in another storage
    check_folder(tmp_path, "s", None)
    (tmp_path / "0").mkdir()
    for new in (None, study()):
        with pytest.raises(ConfigError, match="holds trials already"):
            check_folder(tmp_path, "s", new)


def test_a_study_from_before_there_were_ids_gets_one(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    old = study(TrialState.COMPLETE)
    check_folder(tmp_path, "s", old)
    claim_folder(old, tmp_path, is_new=False)
    check_folder(tmp_path, "s", old)
    assert (tmp_path / ".study_id").read_text() == f"{old.user_attrs[attrs.STUDY_ID]}\ns\n"


def test_a_command_that_was_killed_between_file_and_storage_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / ".study_id").write_text("7d5f\ns\n")
    made = study()
    check_folder(tmp_path, "s", made)
    claim_folder(made, tmp_path, is_new=False)
    assert made.user_attrs[attrs.STUDY_ID] == "7d5f"


def test_a_study_came_to_nothing_where_no_trial_ended_well_or_can_go_on(tmp_path: Path) -> None:
    assert came_to_nothing(study(TrialState.FAIL, TrialState.WAITING), tmp_path)
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING):
        assert not came_to_nothing(study(TrialState.FAIL, state), tmp_path)
    (tmp_path / "0" / "checkpoints").mkdir(parents=True)
    assert came_to_nothing(study(TrialState.FAIL), tmp_path)
    (tmp_path / "0" / "checkpoints" / "last.pt").touch()
    assert not came_to_nothing(study(TrialState.FAIL), tmp_path)
    put_aside(tmp_path)
    assert [path.name for path in tmp_path.rglob("last.pt")] == ["last.pt"]
    assert came_to_nothing(study(TrialState.FAIL), tmp_path)


def _be_there(spec: StorageSpec, told: Any) -> None:
    with Presence(spec, "s", 60):
        told.put(True)
        time.sleep(60)


def test_a_study_with_a_living_worker_has_not_come_to_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=_be_there, args=(StorageSpec(tmp_path), told))
    process.start()
    assert told.get(timeout=60)
    assert not came_to_nothing(study(TrialState.FAIL), tmp_path)
    process.kill()
    process.join()
    assert came_to_nothing(study(TrialState.FAIL), tmp_path)


def test_a_command_in_a_second_folder_does_not_steal_a_living_trial(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    words = (MULT, f"hydra.sweeper.storage={url}", "hydra.sweeper.n_trials=1", "epochs=12", "epoch_seconds=0.25")
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    process = start_sweep(here, *words)
    wait_until(lambda: (folder_of(here) / "0" / "state.json").exists(), what="the first trial")
    refused = sweep(there, *words)
    assert refused.returncode != 0
    assert f"study s belongs to another folder than {folder_of(there)}: it was made in " in refused.stdout
    assert str(folder_of(here)) in refused.stdout
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert starts_of(here, 0) == [0]


@pytest.mark.parametrize("named", [True, False])
def test_a_second_study_in_one_folder_is_refused(named: bool, tmp_path: Path) -> None:
    """It trained nothing and reported the first one's numbers: the record of each of its trials was there already."""
    quick = ("hydra.sweep.dir=multirun/s", "hydra.sweeper.n_trials=1", "epochs=1")
    done = sweep(tmp_path, MULT, *quick, f"hydra.sweeper.study_name={'a' if named else 'null'}")
    assert done.returncode == 0, done.stdout
    second = ("hydra.sweeper.study_name=b", MULT) if named else ("hydra.sweeper.study_name=null", "lr.mask_mult=1,2")
    refused = sweep(tmp_path, *second, *quick)
    assert refused.returncode != 0
    assert f"{folder_of(tmp_path)} belongs to study " in refused.stdout
    assert starts_of(tmp_path, 0) == [0]


@pytest.mark.parametrize("correction", ["broken=false", "hydra.sweeper.metric=loss/train_total"])
def test_a_wrong_word_in_the_first_command_does_not_cost_the_studys_name(correction: str, tmp_path: Path) -> None:
    wrong = sweep(tmp_path, MULT, "broken=true", "hydra.sweeper.n_trials=2", "epochs=1")
    assert wrong.returncode != 0
    done = sweep(tmp_path, MULT, "broken=false", correction, "hydra.sweeper.n_trials=2", "epochs=1")
    assert done.returncode == 0, done.stdout
    assert "study s starts over: no trial of its earlier words came to anything." in done.stdout
    assert [trial.state.name for trial in trials_of(tmp_path)] == ["COMPLETE"] * 2
    assert [starts_of(tmp_path, number) for number in range(2)] == [[0], [0]]  # nothing of the failed one
    (printed,) = (folder_of(tmp_path) / ".earlier").glob("*/0/console.log")
    assert "dataset.root=nowhere" in printed.read_text()
    refused = sweep(tmp_path, MULT, "seed=3", correction, "hydra.sweeper.n_trials=2", "epochs=1")
    assert "is another search" in refused.stdout  # by now it has something to lose
