"""A run alone in its folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskrcnn_exp.engine.black_box import BlackBox
from maskrcnn_exp.errors import ConfigError, DivergedError, WriteError
from maskrcnn_exp.recipes import epochs
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


def test_a_run_whose_folder_is_moved_away_ends_and_does_not_make_it_anew(
    train_small: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_board_pages = epochs.write_board_pages

    def move_away_and_write(*arguments: Any) -> None:
        (tmp_path / "run").rename(tmp_path / "aside")
        write_board_pages(*arguments)

    monkeypatch.setattr(epochs, "write_board_pages", move_away_and_write)
    with pytest.raises(WriteError, match="the folder itself is gone"):
        train_small("trainer.limit_batches=1", "trainer.checkpoint_every_steps=1")
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    (tmp_path / "aside").rename(tmp_path / "run")
    train_small("trainer.limit_batches=1", "trainer.checkpoint_every_steps=1")


def test_a_black_box_does_not_make_its_runs_folder_anew(
    train_small: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = BlackBox.write

    def move_away_and_write(*arguments: Any) -> Path:
        (tmp_path / "run").rename(tmp_path / "aside")
        return write(*arguments)

    monkeypatch.setattr(BlackBox, "write", move_away_and_write)
    with pytest.raises(WriteError, match="the folder itself is gone"):
        train_small("lr.base=1e30", "clip=none", "schedule.warmup_steps=0")
    assert not (tmp_path / "run").exists()
