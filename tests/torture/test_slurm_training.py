"""The script of docs/several-machines.md on a real Slurm: two tasks of srun, a warning signal, a preemption."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.one_node_slurm import missing, one_node_slurm, slurm_environment
from tests.recipes.records import assert_same_checkpoint, assert_same_record
from tests.recipes.test_resume_exact import recorded_steps
from tests.sweep.sweeps import wait_until
from tests.torture.test_torchrun import REPOSITORY, WORDS, finish, torchrun

pytestmark = [
    pytest.mark.torture,
    pytest.mark.timeout(900),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

SLOW = ("trainer.epochs=30",)  # long enough for a signal to meet it
SCRIPT = """\
#!/bin/bash
#SBATCH --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 --signal=USR1@60 --requeue
#SBATCH --open-mode=append --output={folder}.txt
cd {cwd}
srun {python} -m maskrcnn_exp train {words} run_dir={folder}
"""


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    with one_node_slurm() as configuration:
        yield {**os.environ, **slurm_environment(configuration), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slurm") / "undisturbed"
    finish(torchrun(folder, "--standalone", "--nproc-per-node=2", words=("trainer.devices=2", *SLOW)), folder=folder)
    return folder


def call(slurm: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=slurm, capture_output=True, text=True, check=True).stdout.strip()


def submit(slurm: dict[str, str], folder: Path) -> str:
    """Put the training into the queue; return the job's id."""
    words = " ".join(f"'{word}'" for word in (*WORDS, "trainer.devices=2", *SLOW))
    script = folder.with_suffix(".sh")
    script.write_text(SCRIPT.format(folder=folder, cwd=folder.parent, python=sys.executable, words=words))
    return call(slurm, "sbatch", "--parsable", str(script))


def state(slurm: dict[str, str], job: str) -> str:
    """Return the job's state; "" once Slurm has forgotten it."""
    shown = subprocess.run(["scontrol", "show", "job", job, "--oneliner"], env=slurm, capture_output=True, text=True)
    return next((word.removeprefix("JobState=") for word in shown.stdout.split() if word.startswith("JobState=")), "")


def wait_for_end(slurm: dict[str, str], job: str, folder: Path) -> None:
    wait_until(lambda: state(slurm, job) in ("COMPLETED", "FAILED", "CANCELLED", ""), 400)
    assert state(slurm, job) == "COMPLETED", Path(f"{folder}.txt").read_text()[-4000:]


def until_the_second_epoch(slurm: dict[str, str], folder: Path) -> str:
    """Submit the training and let it learn for a while; return the job's id."""
    job = submit(slurm, folder)
    wait_until(lambda: recorded_steps(folder) >= 7, 200)
    return job


def assert_same_training(undisturbed: Path, folder: Path) -> None:
    assert_same_record(undisturbed, folder)
    assert_same_checkpoint(undisturbed / "checkpoints/last.pt", folder / "checkpoints/last.pt")


def assert_resumed(undisturbed: Path, folder: Path) -> None:
    assert "resumed from" in Path(f"{folder}.txt").read_text()
    assert_same_training(undisturbed, folder)


def test_two_tasks_learn_what_two_processes_of_torchrun_do(
    slurm: dict[str, str], undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    wait_for_end(slurm, submit(slurm, folder), folder)
    assert_same_training(undisturbed, folder)


def test_the_warning_before_the_time_limit_saves_and_the_same_script_goes_on(
    slurm: dict[str, str], undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    job = until_the_second_epoch(slurm, folder)
    call(slurm, "scancel", "--signal=USR1", f"{job}.0")  # to the tasks of srun, as --signal=USR1@60 does
    wait_until(lambda: state(slurm, job) not in ("RUNNING", "COMPLETING", "PENDING"), 60)
    said = Path(f"{folder}.txt").read_text()
    assert "SIGUSR1: saving" in said
    assert "Traceback" not in said
    wait_for_end(slurm, submit(slurm, folder), folder)
    assert_resumed(undisturbed, folder)


def test_a_preempted_training_goes_back_into_the_queue_and_on(
    slurm: dict[str, str], undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    job = until_the_second_epoch(slurm, folder)
    call(slurm, "sbatch", "--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 2")
    wait_until(lambda: state(slurm, job) == "PENDING", 60)
    wait_for_end(slurm, job, folder)
    assert_resumed(undisturbed, folder)
