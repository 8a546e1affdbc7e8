"""on_nan=rollback: back to a good checkpoint, slower where the fault is, and the end after so many times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from maskrcnn_exp.engine.checkpoint import read_checkpoint
from maskrcnn_exp.errors import DivergedError
from maskrcnn_exp.recipes.replay import run_words as replay
from maskrcnn_exp.record.history import History
from tests.recipes.records import assert_same_checkpoint, assert_same_record

Train = Callable[..., float | None]

# The mask head's first step throws its weights out of float32's range of products; × 1e-30 it learns at 0.001.
WILD = ("lr.mask_mult=1e30", "clip=none", "schedule.warmup_steps=0")
BACK = ("on_nan=rollback", "on_nan.lr_factor=1e-30")


def finite(path: Path) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in read_checkpoint(path).model.values())


def test_the_part_at_fault_goes_on_slower_and_the_record_shows_no_undone_step(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_small(*WILD, *BACK, "trainer.checkpoint_every_steps=1")
    folder = tmp_path / "run"
    said = capsys.readouterr().out
    assert "rolled back (1 of 3): step 2: loss_mask = " in said
    # Step 1's checkpoint is not good, its next step is the bad one: the start is.
    assert "back to epoch_0000.pt, epoch 1, step 0; learning rate × 1e-30 for mask" in said
    history = History.read(folder)
    assert list(history.series("step/total").steps) == list(range(1, 13))
    assert history.last("lr/mask")[1] == pytest.approx(history.last("lr/box")[1])
    (events,) = folder.glob("events.out.tfevents.*")
    assert b"rolled back (1 of 3)" in events.read_bytes()
    progress = read_checkpoint(folder / "checkpoints/last.pt").progress
    assert progress["rollbacks"] == [[2, 0]]
    assert progress["lr_scale"] == {"mask": 1e-30}
    assert json.loads((folder / "black_box/step_0000002/report.json").read_text())["cause"].startswith("loss_mask")


def test_a_run_interrupted_after_a_rollback_goes_on_slower(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_small(*WILD, *BACK, "trainer.stop_after_epoch=1", folder="run")
    train_small(*WILD, *BACK, folder="run")
    assert "since rollbacks: lr/mask × 1e-30" in capsys.readouterr().out
    train_small(*WILD, *BACK, folder="whole")
    assert_same_record(tmp_path / "whole", tmp_path / "run")
    assert_same_checkpoint(tmp_path / "whole/checkpoints/last.pt", tmp_path / "run/checkpoints/last.pt")


def test_after_the_last_rollback_the_run_ends_and_keeps_a_good_checkpoint(train_small: Train, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"on_nan\.max_rollbacks=2, and the run went back 2 times") as caught:
        train_small(*WILD, "on_nan=rollback", "on_nan.max_rollbacks=2")
    assert caught.value.exit_code == 4
    last = tmp_path / "run/checkpoints/last.pt"
    assert finite(last)
    assert read_checkpoint(last).progress["lr_scale"] == {"mask": 0.25}


def test_weights_that_are_not_finite_reach_no_checkpoint(train_small: Train, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="step 1, epoch 1: weights or statistics are not finite"):
        # The epoch's only step: nothing but its weights can show the fault before they are saved.
        train_small("lr.base=3e38", "clip=none", "schedule.warmup_steps=0", "trainer.accumulate_steps=6")
    assert not (tmp_path / "run/checkpoints/last.pt").exists()


def test_weights_that_are_not_finite_are_rolled_back_too(train_small: Train, tmp_path: Path) -> None:
    words = ("lr.mask_mult=1e42", "clip=none", "schedule.warmup_steps=0", "trainer.accumulate_steps=6")
    train_small(*words, "on_nan=rollback", "on_nan.lr_factor=1e-42")
    progress = read_checkpoint(tmp_path / "run/checkpoints/last.pt").progress
    assert progress["lr_scale"] == {"mask": 1e-42}
    assert finite(tmp_path / "run/checkpoints/last.pt")
    (box,) = (tmp_path / "run/black_box").iterdir()
    with pytest.raises(DivergedError, match="nothing to replay"):
        replay([f"replay={box}"])


def test_a_gradient_that_is_not_finite_where_the_losses_are_stops_before_the_step(
    train_small: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A weight of 1e38 leaves the total finite; the squares of the gradient's norm are not."""
    words = ("model.loss_weight.loss_mask=1e38", "clip=none", "trainer.precision=32-true")
    with pytest.raises(DivergedError, match=r"step 1, .*gradient norm of mask = inf") as caught:
        train_small(*words)
    assert "loss_mask = " not in str(caught.value)
    (box,) = (tmp_path / "run/black_box").iterdir()
    assert "gradient norm of mask = inf" in json.loads((box / "report.json").read_text())["cause"]
    assert not (tmp_path / "run/checkpoints/last.pt").exists()  # no step was taken, none is kept
    with pytest.raises(DivergedError, match="step 1 is not finite again"):
        replay([f"replay={box}"])
    assert "alone: gradient norm of" in capsys.readouterr().out
    with pytest.raises(DivergedError, match=r"on_nan\.max_rollbacks=1"):  # a lower rate does not mend it
        train_small(*words, "on_nan=rollback", "on_nan.max_rollbacks=1", folder="back")
    assert finite(tmp_path / "back/checkpoints/last.pt")
