"""Shares and typical figures: the document's are shown, and decide nothing alone."""

from __future__ import annotations

import pytest

from maskrcnn_exp.diagnose.rules.balance import (
    all_losses_high,
    loss_stays_high,
    mask_share_high,
    mask_share_low,
    typical_shares,
    typical_values,
)
from tests.diagnose.recorded import changed, made, recorded

NUCLEI, SLOW, SHAPES = recorded("nuclei"), recorded("shapes_mult_0.02"), recorded("shapes_mult_1", 4)


def test_a_share_below_a_fifth_of_a_healthy_run_is_a_note_with_both_figures() -> None:
    (verdict,) = mask_share_low(SHAPES)  # 18.7 %
    assert verdict.severity == "info"
    assert "19% of the total, below the document's 20 %" in verdict.says
    assert verdict.evidence[0].document.startswith("0.30–0.40")
    assert verdict.prescription is None


def test_a_share_below_a_fifth_with_bad_masks_is_a_warning() -> None:
    (verdict,) = mask_share_low(changed(SHAPES, mAP__segm_AP=lambda ap: ap / 2))
    assert verdict.severity == "warning"


def test_a_share_above_a_half_is_a_warning_where_the_mask_loss_is_high_and_masks_are_bad() -> None:
    big = changed(SLOW, share__loss_mask=0.6)
    assert [one.severity for one in mask_share_high(big)] == ["warning"]
    assert [one.severity for one in mask_share_high(changed(SHAPES, share__loss_mask=0.6))] == ["info"]
    assert mask_share_high(SLOW) == []


def test_values_are_compared_with_the_range_while_training_and_with_the_final_ones_at_the_end() -> None:
    (under_way,) = typical_values(recorded("shapes_mult_1", 5))
    (over,) = typical_values(recorded("shapes_mult_1"))
    assert {one.document.split(" ", 1)[1] for one in under_way.evidence} == {"while training"}
    assert {one.document.split(" ", 1)[1] for one in over.evidence} == {"at the end"}
    assert "loss_mask" not in [one.name for one in over.evidence]  # 0.196 is within 0.08 to 0.20
    assert under_way.severity == over.severity == "info"


def test_only_shares_outside_of_the_documents_are_listed() -> None:
    (verdict,) = typical_shares(recorded("balloon"))
    names = [one.name for one in verdict.evidence]
    assert "share of loss_box_reg" in names  # 0.40 against 0.15–0.25
    assert "share of loss_mask" not in names  # 0.35
    assert "share of loss_classifier" not in names  # 0.22


def test_a_classifier_that_stays_near_a_guess_is_named_with_what_it_means() -> None:
    (verdict,) = loss_stays_high(changed(NUCLEI, loss__train_loss_classifier=0.55))
    assert (verdict.part, verdict.line) == ("box", "loss_classifier")
    assert "cannot tell the classes apart" in verdict.says
    assert loss_stays_high(NUCLEI) == []


def test_a_classifier_near_a_guess_says_little_while_box_ap_rises() -> None:
    epochs = len(NUCLEI.at)
    rising = [0.2 + 0.02 * epoch for epoch in range(epochs)]
    assert loss_stays_high(changed(NUCLEI, loss__train_loss_classifier=0.55, mAP__bbox_AP=rising)) == []
    assert loss_stays_high(changed(NUCLEI, loss__train_loss_classifier=0.55, mAP__bbox_AP=[0.2] * epochs))


def test_an_rpn_that_stays_near_a_guess_and_lags_gets_a_higher_rate() -> None:
    stuck = changed(NUCLEI, loss__train_loss_objectness=0.6, update_ratio__rpn=lambda ratio: ratio / 10)
    (verdict,) = loss_stays_high(stuck)
    assert verdict.prescription is not None
    assert verdict.prescription.words[0].startswith("lr.rpn_mult=")


@pytest.mark.parametrize("normal", [True, False])
def test_all_losses_near_a_guess_and_no_box_is_an_overall_problem(normal: bool) -> None:
    tags = {
        "loss/train_loss_objectness": [0.69] * 8,
        "loss/train_loss_classifier": [1.3] * 8,
        "loss/train_loss_mask": [0.69] * 8,
        "mAP/bbox_AP": [0.0] * 8,
    }
    if normal:
        tags |= {f"update_ratio/{head}": [ratio] * 8 for head, ratio in (("rpn", 1e-2), ("box", 9e-3), ("mask", 2e-3))}
    (verdict,) = all_losses_high(made(tags, classes=3))
    assert verdict.severity == "severe"
    assert ("not the learning rate" in verdict.says) == normal
    assert all_losses_high(made(tags | {"mAP/bbox_AP": [0.3] * 8}, classes=3)) == []


def test_a_run_that_finds_boxes_after_all_has_no_overall_problem() -> None:
    tags = {"loss/train_loss_objectness": [0.69] * 8, "loss/train_loss_mask": [0.69] * 8}
    assert len(all_losses_high(made(tags | {"mAP/bbox_AP": [0.02] * 8}))) == 1
    assert all_losses_high(made(tags | {"mAP/bbox_AP": [0.06] * 8})) == []
