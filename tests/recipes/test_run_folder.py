"""A run alone in its folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from maskrcnn_exp.errors import ConfigError, DivergedError
from tests.record.test_run_lock import another_process_holds

Train = Callable[..., float | None]


def test_a_second_training_in_a_folder_is_refused_and_touches_nothing(train_small: Train, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with another_process_holds(folder), pytest.raises(ConfigError, match=r"process \d+ trains in this folder"):
        train_small()
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_a_run_that_failed_frees_its_folder(train_small: Train, tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        train_small("lr.base=1e30", "clip=none", "schedule.warmup_steps=0")
    assert (tmp_path / "run/.lock").read_text() == ""
    with another_process_holds(tmp_path / "run"):
        pass


def test_what_a_killed_run_was_writing_is_removed(train_small: Train, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    leftovers = [tmp_path / "run" / place / f".writing-{dead.pid}-1.tmp" for place in ("", "checkpoints")]
    for leftover in leftovers:
        leftover.parent.mkdir(parents=True, exist_ok=True)
        leftover.write_text("half")
    train_small("trainer.epochs=1", "trainer.limit_batches=1")
    assert not any(leftover.exists() for leftover in leftovers)
