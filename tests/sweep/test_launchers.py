"""Workers as jobs of Hydra's other launchers: joblib's processes, submitit's local executor."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.attrs import DEATHS
from tests.sweep.postgresql import Server
from tests.sweep.sweeps import (
    APP,
    MULT,
    folder_of,
    running_workers,
    start_sweep,
    starts_of,
    sweep,
    trials_of,
    wait_until,
)

PACKAGES = {"joblib": "hydra_plugins.hydra_joblib_launcher", "submitit_local": "hydra_plugins.hydra_submitit_launcher"}

LAUNCHERS = pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])


def need(launcher: str) -> None:
    extra = launcher.partition("_")[0]
    pytest.importorskip(PACKAGES[launcher], reason=f"needs pip install 'maskrcnn-exp[{extra}]'")


def launcher_word(launcher: str) -> str:
    need(launcher)
    return f"hydra/launcher={launcher}"


def states(cwd: Path, url: str | None = None) -> list[str]:
    return [trial.state.name for trial in trials_of(cwd, url)]


@LAUNCHERS
def test_two_workers_of_a_launcher_share_a_study_to_its_end(launcher: str, tmp_path: Path) -> None:
    done = sweep(
        tmp_path, MULT, launcher_word(launcher), "hydra.sweeper.n_trials=7", "hydra.sweeper.n_jobs=2", "epochs=3"
    )
    assert done.returncode == 0, done.stdout
    assert states(tmp_path) == ["COMPLETE"] * 7
    assert [starts_of(tmp_path, number) for number in range(7)] == [[0]] * 7
    assert len({trial.user_attrs[attrs.LEASE] for trial in trials_of(tmp_path)}) == 2
    assert "7/7" in done.stdout
    assert "Epoch 3/3" in (folder_of(tmp_path) / "6" / "console.log").read_text()


@pytest.mark.slow
def test_a_single_worker_of_joblib_is_a_process_of_its_own_too(tmp_path: Path) -> None:
    """Joblib calls a single job in its own process, in a thread, where a training cannot set its signal handlers."""
    done = sweep(tmp_path, MULT, launcher_word("joblib"), "hydra.sweeper.n_trials=2", "epochs=2")
    assert done.returncode == 0, done.stdout
    assert states(tmp_path) == ["COMPLETE"] * 2


@pytest.mark.slow
@LAUNCHERS
def test_a_stop_reaches_a_launchers_workers_through_the_storage(launcher: str, tmp_path: Path) -> None:
    words = (MULT, launcher_word(launcher), "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2", "epoch_seconds=0.4")
    process = start_sweep(tmp_path, *words, "epochs=12")
    wait_until(lambda: _in_the_middle(tmp_path) == 2)
    process.send_signal(signal.SIGINT)  # to the driver alone, as on a cluster
    said, _ = process.communicate(timeout=60)
    assert f"Go on with: python {APP} --multirun" in said
    assert states(tmp_path) == ["WAITING"] * 2
    done = sweep(tmp_path, *words, "epochs=12")
    assert done.returncode == 0, done.stdout
    assert states(tmp_path) == ["COMPLETE"] * 2
    assert all(starts_of(tmp_path, number)[1] >= 2 for number in range(2))


def _in_the_middle(cwd: Path) -> int:
    if not (folder_of(cwd) / "study.journal").exists():
        return 0
    return sum(trial.state.name == "RUNNING" and len(trial.intermediate_values) >= 2 for trial in trials_of(cwd))


@pytest.mark.slow
def test_a_job_that_is_preempted_gives_its_trial_back_and_goes_on_in_its_next_start(tmp_path: Path) -> None:
    """Slurm says so with SIGUSR2, and so can its local stand-in; submitit then exits and starts the job again."""
    words = (MULT, launcher_word("submitit_local"), "hydra.sweeper.n_trials=1", "epoch_seconds=0.4", "epochs=12")
    process = start_sweep(tmp_path, *words)
    wait_until(lambda: _in_the_middle(tmp_path) == 1)
    os.kill(running_workers(tmp_path)[0], signal.SIGUSR2)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    (trial,) = trials_of(tmp_path)
    assert (trial.state.name, DEATHS in trial.user_attrs) == ("COMPLETE", False)
    first, second = starts_of(tmp_path, 0)
    assert (first, second >= 2) == (0, True)


@pytest.mark.slow
def test_what_submitit_writes_for_its_jobs_holds_no_password(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database()
    done = sweep(
        tmp_path,
        MULT,
        launcher_word("submitit_local"),
        f"hydra.sweeper.storage='{url}'",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.repeat_best=1",
    )
    assert done.returncode == 0, done.stdout
    assert states(tmp_path, url) == ["COMPLETE"] * 4
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name.endswith("submitted.pkl") for path in files)
    assert [path for path in files if b"s3cret" in path.read_bytes()] == []
    assert "s3cret" not in done.stdout


@pytest.mark.slow
@LAUNCHERS
def test_a_launcher_that_cannot_start_its_jobs_ends_the_sweep_with_its_reason(launcher: str, tmp_path: Path) -> None:
    broken = {
        "joblib": "hydra.launcher.prefer=nonsense",
        "submitit_local": "hydra.launcher.submitit_folder=/proc/nowhere",
    }
    done = sweep(tmp_path, MULT, launcher_word(launcher), broken[launcher], timeout_seconds=60)
    assert done.returncode != 0
    assert "the launcher failed 5 times in a row, last: " in done.stdout
