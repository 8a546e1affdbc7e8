"""The run's record holds the tags it promises and nothing else."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_exp.errors import CheckpointError
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.run_log import RunLog
from maskrcnn_exp.record.tags import EPOCH_TAGS, EXTRA_TAGS, STEP_TAGS


def test_every_promised_tag_can_be_written_and_read(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        log.epoch(1, {tag: index / 4 for index, tag in enumerate((*EPOCH_TAGS, *EXTRA_TAGS))})
        log.step(10, {tag: index / 4 for index, tag in enumerate(STEP_TAGS)})
    history = History.read(tmp_path)
    assert set(history.tags) == {*EPOCH_TAGS, *EXTRA_TAGS, *STEP_TAGS}
    assert history.last("loss/train_loss_rpn_box_reg") == (1, 0.25)
    assert history.last("step/loss_rpn_box_reg") == (10, 0.25)


def test_unknown_tags_are_named_with_what_was_meant(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        with pytest.raises(ValueError, match=r"mAP/mask_AP \(did you mean mAP/\w+\?\)"):
            log.epoch(1, {"mAP/mask_AP": 0.5, "loss/val": 1.0})
        with pytest.raises(ValueError, match="loss/val"):
            log.step(1, {"loss/val": 1.0})
    assert History.read(tmp_path).tags == ()  # nothing of the refused calls


def test_undefined_numbers_are_left_out_and_nan_is_not(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        log.epoch(
            1,
            {
                "mAP/segm_APs": -1.0,  # no small object in the ground truth
                "loss/val": None,  # no evaluation
                "loss/train_total": math.nan,
                "grad_norm/mask": math.inf,
                "lr/box": -1.0,  # only COCO uses -1 as a mark
            },
        )
    history = History.read(tmp_path)
    assert history.tags == ("grad_norm/mask", "loss/train_total", "lr/box")
    assert math.isnan(history.series("loss/train_total").values[0])
    assert history.last("grad_norm/mask") == (1, math.inf)


def test_what_was_recorded_is_readable_before_the_log_is_closed(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        log.epoch(1, {"loss/val": 0.5})
        log.text("verdicts", "masks lag behind", 1)
        history = History.read(tmp_path)
    assert history.last("loss/val") == (1, 0.5)
    assert history.texts == {"verdicts": {1: "masks lag behind"}}


def test_record_is_closed_when_the_run_fails(tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError), RunLog.open(tmp_path) as log:
        log.epoch(1, {"loss/val": 0.5})
        raise RuntimeError("boom")
    with pytest.raises(ValueError, match="closed"):
        log.epoch(2, {"loss/val": 0.5})
    assert History.read(tmp_path).last("loss/val") == (1, 0.5)


def test_resumed_log_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        log.epoch(1, {"loss/val": 3.0})
        offset = log.offset()
        log.epoch(2, {"loss/val": 99.0})
    with RunLog.resume(tmp_path, tmp_path, offset) as log:
        log.epoch(2, {"loss/val": 2.0})
        log.epoch(3, {"loss/val": 1.0})
    series = History.read(tmp_path).series("loss/val")
    assert series.steps.tolist() == [1, 2, 3]
    assert series.values.tolist() == [3.0, 2.0, 1.0]


def test_resume_without_a_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no event file"):
        RunLog.resume(tmp_path / "new", tmp_path, 100)


def test_disabled_log_writes_nothing_but_still_checks_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RunLog.disabled() as log:
        log.epoch(1, {"loss/val": 0.5})
        log.text("verdicts", "none", 1)
        log.image("worst", np.zeros((2, 2, 3), dtype=np.uint8), 1)
        assert log.offset() == 0
        with pytest.raises(ValueError, match="loss/vall"):
            log.epoch(1, {"loss/vall": 0.5})
    assert list(tmp_path.iterdir()) == []
