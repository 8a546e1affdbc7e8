"""kill -9 a hundred times at random moments: every run ends with the bits of the undisturbed one."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.history import History
from tests.recipes.conftest import SMALL
from tests.recipes.records import assert_same_checkpoint, assert_same_record
from tests.torture.forked import Forked

pytestmark = [pytest.mark.torture, pytest.mark.timeout(7200)]

KILLS = 100
EPOCHS, STEPS_PER_EPOCH = 3, 6
OVERRIDES = (*SMALL, f"trainer.epochs={EPOCHS}", "trainer.checkpoint_every_steps=2", "trainer.ema_decay=0.9")


def start(folder: Path, workers: int) -> Forked:
    words = (*OVERRIDES, f"trainer.num_workers={workers}", f"run_dir={folder}")
    return Forked(*words, output=folder.parent / f"{folder.name}.txt")


def wait_for_a_write(folder: Path, run: Forked, rng: random.Random) -> None:
    """Return in the middle of a checkpoint's write, or when the run has ended."""
    for _ in range(rng.randint(1, 4)):  # not always a start's first one
        while not run.ended() and not any(folder.glob("checkpoints/.*.tmp")):
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.02))


def moment_of(folder: Path) -> str:
    """Name what a killed run was doing, by what it left."""
    if any(folder.glob("checkpoints/.*.tmp")):
        return "in a checkpoint's write"
    try:
        history = History.read(folder)
    except (DataError, FileNotFoundError):
        return "at the start"
    steps, epochs = (len(history.series(tag)) if tag in history.tags else 0 for tag in ("step/total", "loss/val"))
    if steps == 0:
        return "at the start"
    return "in an evaluation" if steps == STEPS_PER_EPOCH * (epochs + 1) else "elsewhere"


def assert_undisturbed(undisturbed: Path, folder: Path) -> None:
    assert_same_record(undisturbed, folder)
    for name in ("last.pt", "best.pt"):
        assert_same_checkpoint(undisturbed / "checkpoints" / name, folder / "checkpoints" / name)
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert not list(folder.rglob("*.tmp"))
    assert (undisturbed / "suspects.json").read_bytes() == (folder / "suspects.json").read_bytes()


def test_a_hundred_kills_at_random_moments_leave_the_undisturbed_runs_bits(tmp_path: Path) -> None:
    rng = random.Random(2026)
    undisturbed = tmp_path / "undisturbed"
    first = start(undisturbed, workers=0)
    assert first.wait(600) == 0, first.text()
    whole_seconds = time.monotonic() - first.started

    killed: Counter[str] = Counter()
    finished = 0
    while killed.total() < KILLS:
        folder = tmp_path / f"run{finished}"
        run = start(folder, workers=2 if finished % 4 == 3 else 0)
        if rng.random() < 0.4:
            wait_for_a_write(folder, run, rng)
        else:
            time.sleep(rng.uniform(0, whole_seconds))
        if run.kill():
            killed[moment_of(folder)] += 1
            continue
        assert run.wait(1) == 0, run.text()
        assert_undisturbed(undisturbed, folder)
        finished += 1
        print(f"run {finished}: {killed.total()} kills so far", flush=True)
    assert start(folder, workers=0).wait(600) == 0
    assert_undisturbed(undisturbed, folder)
    print(f"\n{killed.total()} kills over {finished + 1} runs: {dict(killed)}")
    assert min(killed[moment] for moment in ("at the start", "in a checkpoint's write", "in an evaluation")) >= 3
