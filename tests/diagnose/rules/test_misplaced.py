"""Masks beside their objects, with the first four epochs of a run with masks a third of an object too far off."""

from __future__ import annotations

from typing import Any

import pytest

from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.rules.misplaced import annotations_off_objects
from tests.diagnose.recorded import changed, recorded, with_facts

HEALTHY = recorded("shapes_mult_1", 6)

SHIFTED: dict[str, Any] = {
    "loss__train_loss_objectness": [0.398, 0.056, 0.039, 0.034, 0.034, 0.033],
    "loss__train_loss_mask": [0.931, 0.631, 0.575, 0.562, 0.557, 0.555],
    "loss__train_loss_box_reg": [0.518, 0.801, 0.962, 1.067, 1.05, 1.04],
    "loss__train_loss_classifier": [0.860, 0.889, 0.946, 0.994, 0.98, 0.97],
    "mAP__bbox_AP": [0.002, 0.002, 0.003, 0.003, 0.003, 0.003],
    "mAP__segm_AP": [0.0, 0.001, 0.001, 0.001, 0.001, 0.001],
    "mAP__bbox_AP75": 0.0,
    "mAP__segm_AP75": 0.0,
    "mask__accuracy": 0.72,
}


def test_objects_that_are_seen_and_never_found_have_their_annotations_elsewhere() -> None:
    curves = changed(HEALTHY, **SHIFTED)
    (verdict,) = annotations_off_objects(curves)
    assert (verdict.part, verdict.severity) == ("data", "severe")
    assert verdict.prescription is not None
    assert verdict.prescription.command == "check-data"
    assert [one.rule for one in diagnose(curves).faults] == ["annotations_off_objects"]


def test_before_two_fifths_of_the_plan_it_is_a_warning() -> None:
    (verdict,) = annotations_off_objects(with_facts(changed(HEALTHY, **SHIFTED), epochs=20))
    assert verdict.severity == "warning"


@pytest.mark.parametrize(
    "health",
    [
        {"loss__train_loss_objectness": 0.3},  # nothing is seen: another cause
        {"loss__train_loss_mask": 0.38},  # masks are learned
        {"mAP__bbox_AP": 0.1},  # boxes are found
        {"update_ratio__mask": lambda ratio: ratio / 3},  # the mask head is slow
    ],
)
def test_each_sign_is_needed(health: dict[str, Any]) -> None:
    assert annotations_off_objects(changed(HEALTHY, **{**SHIFTED, **health})) == []


@pytest.mark.parametrize("factor", [0.2, 6.0])
def test_rates_that_are_off_come_first(factor: float) -> None:
    rates = {f"update_ratio__{head}": lambda ratio: ratio * factor for head in ("rpn", "box", "mask")}
    assert annotations_off_objects(changed(HEALTHY, **SHIFTED, **rates)) == []


def test_a_log_without_coco_numbers_says_nothing_about_boxes() -> None:
    nothing = {name: float("nan") for name in SHIFTED if name.startswith("mAP")}
    assert annotations_off_objects(changed(HEALTHY, **{**SHIFTED, **nothing})) == []
