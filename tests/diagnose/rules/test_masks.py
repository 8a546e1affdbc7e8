"""The mask head by its AP: the document's second step."""

from __future__ import annotations

import numpy as np

from maskrcnn_exp.diagnose.rules.masks import (
    boxes_good_masks_bad,
    high_loss_low_ap,
    low_loss_low_ap,
    mask_ap_does_not_follow,
    masks_all_background,
    masks_at_chance,
)
from tests.diagnose.recorded import changed, made, recorded

NUCLEI, SLOW = recorded("nuclei"), recorded("shapes_mult_0.02")


def test_high_loss_and_low_mask_ap_is_an_undertrained_mask_head() -> None:
    (verdict,) = high_loss_low_ap(SLOW)
    assert verdict.severity == "severe"
    assert (verdict.line, verdict.since) == ("segm_ap", 2)
    assert "mask AP is 59%" in verdict.says
    assert "times slower" in verdict.says
    assert low_loss_low_ap(SLOW) == []


def test_masks_as_good_as_boxes_are_no_finding_however_high_the_loss() -> None:
    assert high_loss_low_ap(changed(NUCLEI, loss__train_loss_mask=0.6)) == []


def test_bad_boxes_are_not_the_mask_heads_fault() -> None:
    assert high_loss_low_ap(changed(SLOW, mAP__bbox_AP=0.2, mAP__segm_AP=0.1)) == []


def test_low_loss_and_low_mask_ap_is_the_loss_or_the_data() -> None:
    bad = changed(NUCLEI, loss__train_loss_mask=0.15, mAP__segm_AP=lambda ap: ap / 2)
    (verdict,) = low_loss_low_ap(bad)
    assert verdict.severity == "severe"
    assert verdict.prescription is not None
    assert verdict.prescription.command == "check-data"
    assert high_loss_low_ap(bad) == []


def test_where_object_pixels_are_missed_the_overlap_has_to_count() -> None:
    thin = changed(NUCLEI, loss__train_loss_mask=0.15, mAP__segm_AP=lambda ap: ap / 2)
    thin = changed(thin, mask__false_negative=0.4, mask__false_positive=0.02)
    (verdict,) = low_loss_low_ap(thin)
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("model/mask_loss=bce_dice",)


def test_the_documents_third_problem_without_any_ap() -> None:
    """Boxes 0.05, 0.03, 0.08, 0.06 and loss_mask 0.40 of 0.69 … here 0.45, at epoch 10."""
    fall = np.geomspace(1, 0.1, 10)
    tags = {
        "loss/train_loss_objectness": 0.5 * fall,
        "loss/train_loss_rpn_box_reg": 0.3 * fall,
        "loss/train_loss_classifier": 0.8 * fall,
        "loss/train_loss_box_reg": 0.6 * fall,
        "loss/train_loss_mask": np.linspace(0.50, 0.45, 10),
    }
    (verdict,) = boxes_good_masks_bad(made(tags))
    assert verdict.severity == "severe"
    assert verdict.prescription is not None
    assert verdict.prescription.words[0].startswith("lr.mask_mult=")
    assert boxes_good_masks_bad(made(tags | {"loss/train_loss_mask": 0.5 * fall})) == []
    assert boxes_good_masks_bad(made(tags | {"mAP/segm_AP": np.full(10, 0.5)})) == []  # AP decides where it is known


def test_a_mask_loss_at_ln_2_while_boxes_are_found_is_a_guess() -> None:
    (verdict,) = masks_at_chance(changed(NUCLEI, loss__train_loss_mask=0.69))
    assert verdict.severity == "severe"
    assert "0.693" in verdict.says
    assert masks_at_chance(changed(NUCLEI, loss__train_loss_mask=0.69, mAP__bbox_AP=0.0)) == []
    assert masks_at_chance(changed(NUCLEI, loss__train_loss_mask=np.linspace(1.4, 0.62, len(NUCLEI)))) == []


def test_loss_falls_and_ap_does_not_is_a_warning_where_masks_are_bad() -> None:
    falling = np.linspace(0.5, 0.15, len(NUCLEI))
    stuck = changed(NUCLEI, loss__train_loss_mask=falling, loss__val_loss_mask=falling, mAP__segm_AP=0.2)
    (verdict,) = mask_ap_does_not_follow(stuck)
    assert (verdict.severity, verdict.line) == ("warning", "segm_ap")
    assert verdict.prescription is not None
    assert verdict.prescription.command == "check-data"


def test_an_overfitting_mask_head_is_another_rules_business() -> None:
    falling = np.linspace(0.5, 0.15, len(NUCLEI))
    stuck = changed(NUCLEI, loss__train_loss_mask=falling, loss__val_loss_mask=1 - falling, mAP__segm_AP=0.2)
    assert mask_ap_does_not_follow(stuck) == []


def test_background_everywhere_is_found_by_the_missed_pixels() -> None:
    (verdict,) = masks_all_background(changed(NUCLEI, mask__false_negative=0.97, mask__false_positive=0.001))
    assert verdict.severity == "severe"
    assert masks_all_background(NUCLEI) == []


def test_pixels_missed_and_added_alike_are_no_matter_of_the_loss() -> None:
    bad = changed(NUCLEI, loss__train_loss_mask=0.15, mAP__segm_AP=lambda ap: ap / 2)
    words = []
    for missed in (0.08, 0.2):  # beside 0.04 added: twice, five times
        (verdict,) = low_loss_low_ap(changed(bad, mask__false_negative=missed, mask__false_positive=0.04))
        assert verdict.prescription is not None
        words.append(verdict.prescription.command)
    assert words == ["check-data", "train"]


def test_ap_that_rises_by_two_points_follows_the_loss() -> None:
    falling = np.linspace(0.5, 0.15, len(NUCLEI))

    def told(points: float) -> int:
        """The recent epochs are the last six of the eighteen that are settled, five steps of the line."""
        ap = np.r_[np.full(16, 0.2), np.linspace(0.2, 0.2 + points / 100, 6)]
        both = {"loss__train_loss_mask": falling, "loss__val_loss_mask": falling}
        return len(mask_ap_does_not_follow(changed(NUCLEI, **both, mAP__segm_AP=ap)))

    assert told(2.0) == 0
    assert told(0.5) == 1


def test_box_losses_that_only_began_to_fall_are_not_good() -> None:
    tags = {"loss/train_loss_mask": np.full(10, 0.5), "loss/train_loss_objectness": np.linspace(1, 0.3, 10)}
    told = [
        len(boxes_good_masks_bad(made(tags | {"loss/train_loss_classifier": np.linspace(1, end, 10)})))
        for end in (0.7, 0.3)
    ]
    assert told == [0, 1]
