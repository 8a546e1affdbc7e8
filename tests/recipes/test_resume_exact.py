"""Kill a training again and again: what remains is the run that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.history import History
from tests.commands import start_command
from tests.recipes.conftest import SMALL
from tests.recipes.records import assert_same_checkpoint, assert_same_record

STEPS = 18  # three epochs of six
OVERRIDES = (*SMALL, "trainer.epochs=3", "trainer.checkpoint_every_steps=2", "trainer.ema_decay=0.9")


def start(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    # Two threads, as on a user's machine: their timing must not show in the result.
    words = ("train", *OVERRIDES, *overrides, f"run_dir={folder}")
    return start_command(*words, cwd=folder.parent, OMP_NUM_THREADS="2")


def recorded_steps(folder: Path) -> int:
    try:
        return len(History.read(folder, {"step/total"}).series("step/total"))
    except (DataError, FileNotFoundError):  # not begun, or the old file was just replaced
        return 0


def stop_after(process: subprocess.Popen[str], folder: Path, step: int, number: signal.Signals) -> str:
    """Send a signal to the whole process group once the record holds `step` steps; return what was printed."""
    deadline = time.monotonic() + 240
    while recorded_steps(folder) < step and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, number)
    return process.communicate(timeout=240)[0]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    process = start(folder)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    assert recorded_steps(folder) == STEPS
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "seed"), [(0, 1), (2, 2)])
def test_killed_and_resumed_run_equals_the_undisturbed_one(
    undisturbed: Path, tmp_path: Path, workers: int, seed: int
) -> None:
    """kill -9 at two random steps: weights, optimiser, averages, record and validation numbers are the same bits."""
    folder = tmp_path / "run"
    rng = random.Random(seed)
    for step in (rng.randint(1, 7), rng.randint(9, STEPS - 2)):
        process = start(folder, f"trainer.num_workers={workers}")
        stop_after(process, folder, step, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    process = start(folder, f"trainer.num_workers={workers}")
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    assert "resumed from" in output
    assert_same_record(undisturbed, folder)
    assert_same_checkpoint(undisturbed / "checkpoints/last.pt", folder / "checkpoints/last.pt")
    assert_same_checkpoint(undisturbed / "checkpoints/best.pt", folder / "checkpoints/best.pt")
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1


@pytest.mark.slow
def test_signals_save_say_how_to_go_on_and_exit_130(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for step, number in ((3, signal.SIGINT), (10, signal.SIGTERM)):
        process = start(folder)
        output = stop_after(process, folder, step, number)
        assert process.returncode == 130, output
        assert f"{number.name}: saving" in output
        assert f"run_dir={folder}" in output
        assert "Traceback" not in output
    process = start(folder)
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    assert_same_record(undisturbed, folder)
    assert_same_checkpoint(undisturbed / "checkpoints/last.pt", folder / "checkpoints/last.pt")
