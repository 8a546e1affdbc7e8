"""The numbers of an epoch from its steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maskrcnn_exp.engine.loop import StepRecord
from maskrcnn_exp.engine.meter import EpochMeter
from maskrcnn_exp.model.parts import LOSSES, PARTS


def step(seconds: float, waiting: float) -> StepRecord:
    pixels = dict.fromkeys(("pixels", "wrong", "positives", "false_positives", "false_negatives"), 4)
    return StepRecord(
        step=1,
        losses=dict.fromkeys(LOSSES, 0.5),
        total=2.5,
        grad_norm=dict.fromkeys(PARTS, 1.0),
        clipped=dict.fromkeys(PARTS, False),
        lr=dict.fromkeys(PARTS, 0.1),
        pictures=2,
        foreground=8,
        class_hits=6,
        mask_pixels=pixels,
        update_ratio=dict.fromkeys(PARTS, 0.01),
        data_seconds=waiting,
        seconds=seconds,
        indices=(0, 1),
    )


def test_seconds_of_an_epoch_outlive_a_resume_in_the_middle() -> None:
    before = EpochMeter(dict.fromkeys(LOSSES, 1.0))
    before.add(step(2.0, waiting=0.5))
    before.add(step(4.0, waiting=0.25))
    after = EpochMeter(dict.fromkeys(LOSSES, 1.0))
    after.load_state_dict(before.state_dict())
    after.add(step(3.0, waiting=0.0))
    values = after.values()
    assert values["time/epoch_s"] == 9.0  # waiting is a part of a step
    assert values["time/step_s"] == 3.0
    assert values["time/data_s"] == pytest.approx(0.25)


def test_mask_overlap_and_class_accuracy_are_of_all_proposals_of_the_epoch() -> None:
    meter = EpochMeter(dict.fromkeys(LOSSES, 1.0))
    counts = {"pixels": 100, "wrong": 3, "positives": 10, "false_positives": 2, "false_negatives": 1}
    meter.add(replace(step(1.0, waiting=0.0), mask_pixels=counts))
    meter.add(replace(step(1.0, waiting=0.0), mask_pixels=dict.fromkeys(counts, 0), foreground=4, class_hits=0))
    assert meter.values()["mask/iou"] == 9 / 12
    assert meter.values()["roi/class_accuracy"] == 6 / 12


def test_an_epoch_begun_by_an_older_version_goes_on() -> None:
    old = EpochMeter(dict.fromkeys(LOSSES, 1.0))
    old.add(step(1.0, waiting=0.0))
    state = old.state_dict()
    del state["sums"]["class_hits"]
    meter = EpochMeter(dict.fromkeys(LOSSES, 1.0))
    meter.load_state_dict(state)
    assert meter.values()["roi/class_accuracy"] == 0
