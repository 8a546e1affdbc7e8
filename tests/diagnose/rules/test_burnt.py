"""Heads that were destroyed by their first steps, with the numbers of runs to which it happened."""

from __future__ import annotations

from typing import Any

from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.rules.burnt import all_burnt, burnt_part
from maskrcnn_exp.diagnose.rules.learning_rate import lr_too_high
from tests.diagnose.recorded import changed, recorded, with_facts

HEALTHY = recorded("shapes_mult_1")

MASK_HEAD = {  # SGD at lr.mask_mult=30: the first epoch moves it 42 times too far
    "update_ratio__mask": [0.084, 0.005, 0.001, 0.001, 0.001, 0.001],
    "grad_norm__mask": [7.6, 0.06, 0.03, 0.035, 0.028, 0.026],
    "loss__train_loss_mask": [1.056, 0.685, 0.671, 0.668, 0.665, 0.665],
}
ALL = {  # AdamW at lr.base=0.05
    "update_ratio__rpn": [0.071, 0.056, 0.019, 0.010, 0.002, 0.001],
    "update_ratio__box": [0.046, 0.011, 0.002, 0.002, 0.002, 0.001],
    "update_ratio__mask": [0.026, 0.004, 0.002, 0.002, 0.002, 0.001],
    "grad_norm__rpn": [7.9, 6.4, 4.6, 5.1, 0.009, 0.008],
    "grad_norm__box": [257.0, 92.0, 0.23, 0.21, 0.18, 0.17],
    "grad_norm__mask": [25.8, 0.06, 0.05, 0.05, 0.04, 0.04],
    "loss__train_loss_mask": [1.376, 0.672, 0.669, 0.669, 0.667, 0.668],
    "loss__train_loss_classifier": [13.6, 2.28, 0.73, 0.75, 0.71, 0.71],
    "loss__train_loss_objectness": [0.58, 0.35, 0.53, 0.18, 0.051, 0.051],
    "mask__accuracy": 0.59,
    "mAP__bbox_AP": 0.0,
    "mAP__segm_AP": 0.0,
}


def test_a_head_that_moved_too_far_guesses_and_has_lost_its_gradient_is_burnt() -> None:
    (verdict,) = burnt_part(with_facts(changed(HEALTHY, **MASK_HEAD), adaptive=False))
    assert (verdict.part, verdict.severity, verdict.since) == ("mask", "severe", 1)
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("lr.mask_mult=0.024",)  # 1 / (0.084 / 0.002)


def test_a_burnt_head_is_named_after_its_third_epoch() -> None:
    for epoch, rules in ((2, []), (3, ["burnt_part"])):
        cut = {tag: values[:epoch] for tag, values in MASK_HEAD.items()}
        assert [verdict.rule for verdict in burnt_part(changed(recorded("shapes_mult_1", epoch), **cut))] == rules


def test_each_of_the_three_signs_is_needed() -> None:
    for missing in MASK_HEAD:
        signs: dict[str, Any] = {tag: values for tag, values in MASK_HEAD.items() if tag != missing}
        assert burnt_part(changed(HEALTHY, **signs)) == []


def test_all_heads_burnt_is_one_finding_about_the_base_rate() -> None:
    curves = changed(HEALTHY, **ALL)
    assert burnt_part(curves) == []
    assert [(verdict.rule, verdict.part) for verdict in diagnose(curves).faults] == [("lr_too_high", "run")]
    (verdict,) = lr_too_high(curves)
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("lr.base=3.6e-05",)  # 0.001 / 13^1.3: the fastest head's, under AdamW


def test_a_head_far_ahead_of_the_others_by_its_own_multiplier_is_to_blame_alone() -> None:
    ahead = changed(HEALTHY, **{**ALL, "update_ratio__mask": MASK_HEAD["update_ratio__mask"]})
    for curves in (with_facts(ahead, mult={**ahead.facts.mult, "mask": 30.0}), with_facts(ahead, own=False)):
        assert not all_burnt(curves)
        assert [verdict.part for verdict in burnt_part(curves)] == ["mask"]
    assert all_burnt(ahead)  # all multipliers 1: the base rate's doing, whichever head it moved most


LARGE_MASKS = {  # nuclei, AdamW at lr.mask_mult=30: masks fill 0.71 of their boxes, so that a guess scores 0.602
    "update_ratio__mask": [0.06, 0.026, 0.0066, 0.0022, 0.0015, 0.0014],
    "grad_norm__mask": [16.9, 0.53, 0.2, 0.11, 0.13, 0.12],
    "loss__train_loss_mask": [1.65, 0.607, 0.58, 0.544, 0.55, 0.547],
    "mask__accuracy": [0.639, 0.708, 0.702, 0.75, 0.747, 0.75],
    "mask__false_negative": [0.218, 0.011, 0.01, 0.122, 0.146, 0.146],
    "mask__false_positive": [0.738, 0.982, 0.954, 0.556, 0.505, 0.501],
}
SMALL_MASKS = {"mask__accuracy": [0.5] * 6, "mask__false_negative": [0.1] * 6, "mask__false_positive": [0.9] * 6}


def test_a_head_that_knows_the_mean_mask_alone_guesses_too() -> None:
    (verdict,) = burnt_part(changed(HEALTHY, **LARGE_MASKS))
    assert "loss_mask stays high" in verdict.says
    assert burnt_part(changed(HEALTHY, **{**LARGE_MASKS, **SMALL_MASKS})) == []  # halves of boxes: a guess scores 0.693


def test_masks_far_worse_than_good_boxes_are_outcome_enough() -> None:
    late = {**LARGE_MASKS, "loss__train_loss_mask": [1.65, 0.607, 0.58, 0.544, 0.5, 0.49]}
    for masks, found in ((0.19, 1), (0.3, 0)):
        curves = changed(HEALTHY, **late, mAP__bbox_AP=0.3, mAP__segm_AP=masks)
        assert len(burnt_part(curves)) == found


def test_heads_that_find_boxes_are_not_burnt() -> None:
    assert not all_burnt(changed(HEALTHY, **{**ALL, "mAP__bbox_AP": 0.2}))
