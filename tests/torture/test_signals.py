"""Every way to be told to stop: the run saves, leaves with 130, and goes on to the undisturbed run's bits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.recipes.test_resume_exact import OVERRIDES, recorded_steps
from tests.torture.forked import Forked
from tests.torture.test_kills import assert_undisturbed, start

pytestmark = [pytest.mark.torture, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run = start(folder, workers=0)
    assert run.wait(600) == 0, run.text()
    return folder


def wait_for_steps(run: Forked, folder: Path, steps: int) -> None:
    while recorded_steps(folder) < steps and not run.ended():
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_each_signal_saves_leaves_with_130_and_resumes(
    number: signal.Signals, workers: int, undisturbed: Path, tmp_path: Path
) -> None:
    """The whole group gets it, loader workers included, as from a terminal or from Slurm."""
    folder, rng = tmp_path / "run", random.Random(number)
    for least in (rng.randint(1, 8), rng.randint(9, 16)):
        run = start(folder, workers)
        wait_for_steps(run, folder, least)
        sent = time.monotonic()
        os.killpg(run.pid, number)
        assert run.wait(60) == 130, run.text()
        assert time.monotonic() - sent < 60  # a scheduler's warning comes that long before its kill
        assert run.text().count(f"{number.name}: saving") == 1, run.text()
        assert "Go on with: " in run.text()
        assert "Traceback" not in run.text()
    assert start(folder, workers).wait(600) == 0
    assert_undisturbed(undisturbed, folder)


def test_a_second_interrupt_leaves_at_once_and_the_last_checkpoint_is_whole(undisturbed: Path, tmp_path: Path) -> None:
    folder, rng = tmp_path / "run", random.Random(5)
    for least in (3, 9, 13):
        run = start(folder, workers=0)
        wait_for_steps(run, folder, least)
        for _ in range(2):
            os.killpg(run.pid, signal.SIGINT)
            time.sleep(rng.uniform(0, 0.05))
        assert run.wait(60) == 130, run.text()
    assert start(folder, workers=0).wait(600) == 0
    assert_undisturbed(undisturbed, folder)


def test_a_reader_that_leaves_ends_the_run_and_the_next_goes_on(undisturbed: Path, tmp_path: Path) -> None:
    """`train | head -3`: whoever reads no more is told on standard error."""
    folder = tmp_path / "run"
    words = ("train", *OVERRIDES, "trainer.num_workers=0", f"run_dir={folder}")
    with subprocess.Popen(
        [sys.executable, "-m", "maskrcnn_exp", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("run: ")
        process.stdout.close()
        told = process.stderr.read() if process.stderr else ""
        assert process.wait(60) == 130, told
    assert "the reader of standard output is gone" in told
    assert "Go on with: " in told
    assert "Traceback" not in told
    assert "Exception ignored" not in told
    assert start(folder, workers=0).wait(600) == 0
    assert_undisturbed(undisturbed, folder)
