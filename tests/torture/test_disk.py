"""A disk that fills at any moment, a folder that is read-only or goes away: one message, exit 5, and later on it goes.

The disk is a tmpfs of a few hundred MiB, so these tests need root.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskrcnn_exp.engine.checkpoint import read_checkpoint
from tests.sweep.sweeps import MULT, folder_of, start_sweep, sweep, trials_of
from tests.torture.forked import Forked
from tests.torture.test_kills import assert_undisturbed, start

pytestmark = [
    pytest.mark.torture,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a tmpfs, which needs root"),
]

FULL_DISKS = 12


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    run = start(folder, workers=0)
    assert run.wait(600) == 0, run.text()
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=800m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Leave no free byte."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def assert_one_message(run: Forked) -> None:
    assert run.wait(120) == 5, run.text()
    assert run.text().count(" error: ") == 1, run.text()
    assert "Traceback" not in run.text(), run.text()


def assert_whole(folder: Path) -> None:
    for path in folder.glob("checkpoints/*.pt"):
        read_checkpoint(path)


def test_a_disk_that_fills_at_any_moment_costs_a_message_and_no_bit(undisturbed: Path, disk: Path) -> None:
    rng, folder, hit, finished = random.Random(1), disk / "run", 0, 0
    while hit < FULL_DISKS:
        run = start(folder, workers=0)
        time.sleep(rng.uniform(0, 8))
        filler = fill(disk)
        while not run.ended() and run.text().count(" error: ") == 0:
            time.sleep(0.05)
        code = run.wait(120)
        filler.unlink()
        if code == 0:
            assert_undisturbed(undisturbed, folder)
            finished += 1
            folder = disk / f"run{finished}"
            continue
        assert_one_message(run)
        assert_whole(folder)
        hit += 1
        print(run.text().strip().splitlines()[-1][:150], flush=True)
    assert start(folder, workers=0).wait(600) == 0
    assert_undisturbed(undisturbed, folder)


def test_a_read_only_folder_is_one_message(undisturbed: Path, disk: Path) -> None:
    folder = disk / "run"
    run = start(folder, workers=0)
    while not (folder / "checkpoints/last.pt").exists():
        time.sleep(0.01)
    run.kill()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    denied = Forked(*_words(folder), output=disk.parent / "denied.txt")
    assert_one_message(denied)
    assert_whole(folder)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert start(folder, workers=0).wait(600) == 0
    assert_undisturbed(undisturbed, folder)


def test_a_folder_that_is_moved_away_ends_the_run_and_it_goes_on_there(undisturbed: Path, tmp_path: Path) -> None:
    folder, aside = tmp_path / "run", tmp_path / "aside"
    run = start(folder, workers=0)
    while not (folder / "checkpoints/last.pt").exists():
        time.sleep(0.01)
    folder.rename(aside)
    assert_one_message(run)
    assert not folder.exists()
    aside.rename(folder)
    assert start(folder, workers=0).wait(600) == 0
    assert_undisturbed(undisturbed, folder)


def _words(folder: Path) -> tuple[str, ...]:
    from tests.torture.test_kills import OVERRIDES

    return (*OVERRIDES, "trainer.num_workers=0", f"run_dir={folder}")


def test_a_disk_that_fills_under_a_study_costs_no_finished_trial(disk: Path) -> None:
    """Journal, trials and report lie on it; after space is made the same command ends the study."""
    words = (MULT, "hydra.sweeper.n_trials=8", "hydra.sweeper.n_jobs=2", "epochs=4", "epoch_seconds=0.2")
    words = (*words, "hydra.sweeper.report=true")
    rng, finished = random.Random(3), {}
    for _ in range(3):
        process = start_sweep(disk, *words)
        until = time.monotonic() + rng.uniform(4, 8)
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.05)
        filler = fill(disk)
        said, _ = process.communicate(timeout=180)
        filler.unlink()
        print(f"exit {process.returncode}: {said.strip().splitlines()[-1][:150]}", flush=True)
        assert process.returncode in (0, 1), said  # 1: the app is not our own command, which leaves with 5
        if process.returncode:
            assert "No space left on device" in said, said
        now = {t.number: (t.params, t.value) for t in trials_of(disk) if t.state.name == "COMPLETE"}
        assert finished.items() <= now.items()
        finished = now
    done = sweep(disk, *words, timeout_seconds=180)
    assert done.returncode == 0, done.stdout
    trials = trials_of(disk)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 8  # a full disk is no trial's fault
    assert finished.items() <= {t.number: (t.params, t.value) for t in trials}.items()
    assert (folder_of(disk) / "report.md").read_text().startswith("# ")
