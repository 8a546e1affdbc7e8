"""Studies on a real Slurm: one machine as controller and node, the daemons of `benchmarks/one_node_slurm.py`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.one_node_slurm import missing, one_node_slurm, slurm_environment
from maskrcnn_exp.sweep.attrs import DEATHS
from tests.sweep.postgresql import Server
from tests.sweep.sweeps import MULT, folder_of, running_workers, start_sweep, starts_of, trials_of, wait_until

pytestmark = [
    pytest.mark.torture,
    pytest.mark.timeout(900),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

WORDS = (
    MULT,
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.partition=main",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.timeout_min=30",
    "hydra.sweeper.n_jobs=2",
)


@pytest.fixture(scope="module")
def configuration() -> Iterator[Path]:
    with one_node_slurm() as path:
        yield path


@pytest.fixture(autouse=True)
def slurm(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in slurm_environment(configuration).items():
        monkeypatch.setenv(name, value)
    yield
    call("scancel", "--user=root")
    wait_until(lambda: not jobs(), 60)


def call(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def jobs(*states: str) -> list[str]:
    """Ids of the jobs of the study's partition, of these states where some are given."""
    wanted = [f"--states={','.join(states)}"] if states else []
    return call("squeue", "--noheader", "--partition=main", "--array", "--format=%A", *wanted).split()


def in_the_middle(cwd: Path, url: str | None = None) -> list[int]:
    """Numbers of the running trials that have an epoch behind them."""
    trials = trials_of(cwd, url)
    return [number for number in running_workers(cwd, url) if trials[number].intermediate_values]


def finish(driver: subprocess.Popen[str], cwd: Path, n_trials: int, url: str | None = None) -> None:
    """Wait for the study's end: every trial completed, none of them twice."""
    said, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, said
    trials = trials_of(cwd, url)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * n_trials
    assert len({trial.params["lr.mask_mult"] for trial in trials}) == n_trials


def test_two_jobs_of_an_array_share_a_study(tmp_path: Path) -> None:
    driver = start_sweep(tmp_path, *WORDS, "hydra.sweeper.n_trials=6", "epochs=3")
    finish(driver, tmp_path, 6)
    assert [starts_of(tmp_path, number) for number in range(6)] == [[0]] * 6


def test_a_study_on_postgresql_tells_the_jobs_where_without_a_file(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database()
    words = (*WORDS, f"hydra.sweeper.storage='{url}'", "hydra.sweeper.n_trials=6", "epochs=3")
    driver = start_sweep(tmp_path, *words)
    finish(driver, tmp_path, 6, url)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]


def test_preempted_jobs_go_back_into_the_queue_and_their_trials_go_on(tmp_path: Path) -> None:
    """A job of a partition with a higher priority takes both processors; Slurm ends the workers and requeues them."""
    words = (*WORDS, "hydra.sweeper.n_trials=4", "epochs=12", "epoch_seconds=1", "hydra.sweeper.grace_seconds=20")
    driver = start_sweep(tmp_path, *words)
    preempted: list[int] = []
    for _ in range(2):
        wait_until(lambda: bool(in_the_middle(tmp_path)) and len(jobs("RUNNING")) == 2, 120)
        preempted += in_the_middle(tmp_path)
        call("sbatch", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 4")
        wait_until(lambda: bool(call("squeue", "--noheader", "--partition=urgent", "--states=RUNNING")), 60)
        assert not jobs("RUNNING")  # there is no processor left for them
    finish(driver, tmp_path, 4)
    assert preempted
    for number in preempted:
        assert max(starts_of(tmp_path, number)) >= 1, (number, starts_of(tmp_path, number))  # not from the beginning


def test_a_job_that_is_put_back_by_hand_goes_on(tmp_path: Path) -> None:
    words = (*WORDS, "hydra.sweeper.n_trials=2", "epochs=12", "epoch_seconds=1", "hydra.sweeper.grace_seconds=20")
    driver = start_sweep(tmp_path, *words)
    wait_until(lambda: len(in_the_middle(tmp_path)) == 2, 120)
    call("scontrol", "requeue", jobs("RUNNING")[0])
    finish(driver, tmp_path, 2)
    assert max(max(starts_of(tmp_path, number)) for number in range(2)) >= 1


def test_a_job_that_is_cancelled_costs_no_trial(tmp_path: Path) -> None:
    words = (*WORDS, "hydra.sweeper.n_trials=3", "epochs=10", "epoch_seconds=1", "hydra.sweeper.grace_seconds=20")
    driver = start_sweep(tmp_path, *words)
    wait_until(lambda: len(in_the_middle(tmp_path)) == 2, 120)
    call("scancel", "--signal=KILL", jobs("RUNNING")[0])
    finish(driver, tmp_path, 3)
    assert all(int(trial.user_attrs.get(DEATHS, 0)) <= 1 for trial in trials_of(tmp_path))


def test_a_stop_of_the_driver_reaches_the_jobs_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = (*WORDS, "hydra.sweeper.n_trials=2", "epochs=10", "epoch_seconds=0.5")
    driver = start_sweep(tmp_path, *words)
    wait_until(lambda: len(in_the_middle(tmp_path)) == 2, 120)
    driver.terminate()
    driver.communicate(timeout=120)
    wait_until(lambda: not jobs(), 60)
    assert {trial.state.name for trial in trials_of(tmp_path)} == {"WAITING"}
    driver = start_sweep(tmp_path, *words)
    finish(driver, tmp_path, 2)
    assert all(max(starts_of(tmp_path, number)) >= 1 for number in range(2))
    assert (folder_of(tmp_path) / ".submitit").is_dir()
