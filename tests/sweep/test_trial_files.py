"""Which trials keep their checkpoints."""

from __future__ import annotations

from pathlib import Path

import optuna

from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.trial_files import drop_checkpoints
from tests.sweep.sweeps import MULT, folder_of, sweep, trials_of


def with_checkpoint(folder: Path) -> set[int]:
    return {int(path.parts[-3]) for path in folder.glob("*/checkpoints/last.pt")}


def end_trial(study: optuna.Study, folder: Path, values: list[float] | None, keep: int) -> None:
    trial = study.ask()
    (folder / str(trial.number) / "checkpoints").mkdir(parents=True)
    (folder / str(trial.number) / "checkpoints" / "last.pt").touch()
    state = optuna.trial.TrialState.FAIL if values is None else None
    study.tell(trial, values, state=state)
    drop_checkpoints(Standing.read(study, folder), trial.number, keep)


def test_the_best_keep_theirs_in_either_direction(tmp_path: Path) -> None:
    values = [0.3, 0.5, 0.1, 0.4, 0.5, 0.2]
    for direction, expected in {"maximize": {1, 4}, "minimize": {2, 5}}.items():
        study = optuna.create_study(direction=direction)
        for value in values:
            end_trial(study, tmp_path / direction, [value], keep=2)
        assert with_checkpoint(tmp_path / direction) == expected


def test_a_trial_that_failed_keeps_none_and_pushes_nobody_out(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    for values in ([0.3], None, [0.2]):
        end_trial(study, tmp_path, values, keep=2)
    assert with_checkpoint(tmp_path) == {0, 2}


def test_several_objectives_keep_all_that_none_beats(tmp_path: Path) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for values in ([0.3, 10.0], [0.5, 20.0], [0.2, 30.0], [0.4, 15.0]):
        end_trial(study, tmp_path, values, keep=1)
    assert with_checkpoint(tmp_path) == {0, 1, 3}


def test_a_study_keeps_those_of_its_best_and_the_record_of_all(tmp_path: Path) -> None:
    done = sweep(
        tmp_path, MULT, "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2", "hydra.sweeper.keep_checkpoints=2"
    )
    assert done.returncode == 0, done.stdout
    best = sorted(trials_of(tmp_path), key=lambda trial: -(trial.value or 0))[:2]
    assert with_checkpoint(folder_of(tmp_path)) == {trial.number for trial in best}
    assert all(list((folder_of(tmp_path) / str(number)).glob("events.*")) for number in range(6))


def test_without_the_key_all_keep_theirs(tmp_path: Path) -> None:
    assert sweep(tmp_path, MULT, "hydra.sweeper.n_trials=3").returncode == 0
    assert with_checkpoint(folder_of(tmp_path)) == {0, 1, 2}
