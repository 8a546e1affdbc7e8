"""Rates of one part and of all, and parts that do not move."""

from __future__ import annotations

import pytest

from maskrcnn_exp.diagnose.rules.learning_rate import frozen_part, lr_too_high, lr_too_low
from maskrcnn_exp.diagnose.rules.part_rates import overdriven_part, undertrained_part
from maskrcnn_exp.diagnose.verdict import Verdict
from tests.diagnose.recorded import changed, recorded, with_facts

HEALTHY = recorded("shapes_mult_1")


def only(verdicts: list[Verdict]) -> Verdict:
    (verdict,) = verdicts
    return verdict


def value(verdict: Verdict) -> float:
    assert verdict.prescription is not None
    return float(verdict.prescription.words[-1].partition("=")[2])


@pytest.mark.parametrize("head", ["rpn", "box", "mask"])
def test_a_head_twenty_times_slower_is_undertrained_whatever_its_loss_says(head: str) -> None:
    slow = changed(HEALTHY, **{f"update_ratio__{head}": lambda ratio: ratio / 20})
    verdict = only(undertrained_part(slow))
    assert (verdict.part, verdict.severity, verdict.since) == (head, "severe", 1)
    assert value(verdict) > 5


def test_the_prescription_grows_with_how_far_the_head_is_behind() -> None:
    """Under AdamW the update ratio grows as the rate to the power 1/1.3, so ten times further behind is 20 times."""
    near, far = (changed(HEALTHY, update_ratio__mask=lambda ratio, by=by: ratio / by) for by in (4, 40))
    assert value(only(undertrained_part(far))) / value(only(undertrained_part(near))) == pytest.approx(10**1.3, rel=0.1)


def test_under_sgd_the_update_is_proportional_to_the_rate() -> None:
    slow = with_facts(changed(HEALTHY, update_ratio__mask=lambda ratio: ratio / 20), adaptive=False)
    assert value(only(undertrained_part(slow))) == pytest.approx(slow.times_behind("mask") / 1.5, rel=0.05)


def test_the_first_epoch_alone_says_nothing() -> None:
    assert undertrained_part(recorded("shapes_mult_0.02", 1)) == []


def test_a_slow_mask_head_whose_masks_are_as_good_as_the_boxes_needs_no_remark() -> None:
    slow = changed(HEALTHY, update_ratio__mask=lambda ratio: ratio / 3.5)
    assert [verdict.severity for verdict in undertrained_part(slow)] == ["warning"]
    assert undertrained_part(changed(slow, mAP__segm_AP=lambda _: slow.ap("bbox"))) == []


def test_a_head_at_a_healthy_pace_is_not_undertrained_beside_driven_ones() -> None:
    driven = changed(HEALTHY, update_ratio__rpn=lambda ratio: 9 * ratio, update_ratio__mask=lambda ratio: 9 * ratio)
    assert undertrained_part(driven) == []


def test_a_part_without_updates_is_frozen() -> None:
    for name, word in (("backbone", "lr.backbone_mult=1"), ("mask", "lr.mask_mult=1")):
        verdict = only(frozen_part(changed(HEALTHY, **{f"update_ratio__{name}": 0.0, f"lr__{name}": 0.0})))
        assert (verdict.part, verdict.severity) == (name, "severe")
        assert verdict.prescription is not None
        assert verdict.prescription.words == (word,)


def test_a_frozen_backbone_with_weights_from_another_training_may_be_meant() -> None:
    frozen = with_facts(changed(HEALTHY, update_ratio__backbone=0.0), pretrained=True)
    verdict = only(frozen_part(frozen))
    assert verdict.severity == "info"
    assert value(verdict) == pytest.approx(0.1)


def test_frozen_stages_of_a_random_backbone_are_severe() -> None:
    assert only(frozen_part(with_facts(HEALTHY, trainable_stages=2))).severity == "severe"
    assert frozen_part(with_facts(HEALTHY, trainable_stages=2, pretrained=True)) == []


def test_all_heads_twenty_times_slower_is_the_base_rate() -> None:
    slow = {f"update_ratio__{head}": (lambda ratio: ratio / 20) for head in ("rpn", "box", "mask")}
    crawling = changed(HEALTHY, **slow, mAP__bbox_AP=0.01, mAP__segm_AP=0.01)
    assert undertrained_part(crawling) == []
    verdict = only(lr_too_low(crawling))
    assert (verdict.part, verdict.severity) == ("run", "severe")
    assert value(verdict) == pytest.approx(0.001 * 20**1.3, rel=0.15)  # the default rate of AdamW


def test_a_small_rate_that_finds_boxes_all_the_same_is_no_fault() -> None:
    slow = {f"update_ratio__{head}": (lambda ratio: ratio / 20) for head in ("rpn", "box", "mask")}
    assert lr_too_low(changed(HEALTHY, **slow)) == []


def test_trained_weights_need_smaller_steps() -> None:
    slow = {f"update_ratio__{head}": (lambda ratio: ratio / 15) for head in ("rpn", "box", "mask")}
    crawling = changed(HEALTHY, **slow, mAP__bbox_AP=0.01)
    assert only(lr_too_low(crawling)).severity == "severe"
    assert lr_too_low(with_facts(crawling, pretrained=True)) == []


def test_large_steps_without_any_box_are_a_rate_too_high() -> None:
    fast = {f"update_ratio__{head}": (lambda ratio: 12 * ratio) for head in ("rpn", "box", "mask")}
    thrown = changed(HEALTHY, **fast, mAP__bbox_AP=0.001, mAP__segm_AP=0.001)
    verdict = only(lr_too_high(thrown))
    assert verdict.severity == "severe"
    assert value(verdict) < 0.0005
    assert lr_too_high(changed(HEALTHY, **fast)) == []  # large steps that work


def test_a_fast_mask_head_is_a_fault_only_where_it_suffers() -> None:
    fast = changed(HEALTHY, update_ratio__mask=lambda ratio: 30 * ratio)
    assert overdriven_part(fast) == []
    verdict = only(overdriven_part(changed(fast, loss__train_loss_mask=[0.9, 0.6, 0.65, 0.7, 0.68, 0.69])))
    assert (verdict.part, verdict.severity, verdict.line) == ("mask", "severe", "loss_mask")
    assert value(verdict) < 0.2  # of a multiplier of 1
    bad_masks = changed(fast, mAP__segm_AP=lambda ap: 0.6 * ap)
    assert [one.part for one in overdriven_part(bad_masks)] == ["mask"]


def test_a_fast_head_among_fast_ones_is_not_the_one_to_blame() -> None:
    """Ten times faster than healthy, and twice as fast as the others: that is the base rate's matter."""
    fast = {"update_ratio__rpn": (lambda ratio: 5 * ratio), "update_ratio__box": (lambda ratio: 5 * ratio)}
    stuck = [0.9, 0.6, 0.65, 0.7, 0.68, 0.69]
    together = changed(HEALTHY, **fast, update_ratio__mask=lambda ratio: 10 * ratio, loss__train_loss_mask=stuck)
    assert overdriven_part(together) == []
    alone = changed(HEALTHY, update_ratio__mask=lambda ratio: 10 * ratio, loss__train_loss_mask=stuck)
    assert [verdict.part for verdict in overdriven_part(alone)] == ["mask"]


def test_a_mask_loss_five_percent_above_its_best_does_not_suffer() -> None:
    def told(rise: float) -> int:
        loss = [0.9, 0.5, 0.3, 0.2, 0.2, 0.2 * (1 + rise)]
        return len(overdriven_part(changed(HEALTHY, update_ratio__mask=lambda r: 30 * r, loss__train_loss_mask=loss)))

    assert told(0.05) == 0
    assert told(0.4) == 1


def test_under_sgd_a_head_is_slow_because_it_has_learned_most() -> None:
    slow = changed(HEALTHY, update_ratio__rpn=lambda ratio: ratio / 5)  # its loss is 2 % of a guess
    assert undertrained_part(slow) != []
    assert undertrained_part(with_facts(slow, adaptive=False)) == []


def test_under_sgd_a_head_that_learned_less_than_the_others_is_still_undertrained() -> None:
    slow = changed(HEALTHY, update_ratio__mask=lambda ratio: ratio / 20, loss__train_loss_mask=0.65)
    assert only(undertrained_part(with_facts(slow, adaptive=False))).part == "mask"
