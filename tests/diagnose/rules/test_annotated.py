"""Annotations that the curves give away."""

from __future__ import annotations

import pytest

from maskrcnn_exp.diagnose.rules.annotated import (
    boxes_do_not_fit_masks,
    labels_do_not_fit,
    splits_differ,
    training_is_noisier,
)
from tests.diagnose.recorded import changed, recorded, with_facts

SHAPES, NUCLEI = recorded("shapes_mult_1"), recorded("nuclei")


@pytest.mark.parametrize("loss", ["loss_mask", "loss_box_reg"])
def test_a_head_that_is_worse_on_validation_from_the_start_means_other_annotations(loss: str) -> None:
    (verdict,) = splits_differ(changed(NUCLEI, **{f"loss__val_{loss}": lambda value: 2.5 * value}))
    assert (verdict.severity, verdict.line, verdict.part) == ("severe", loss, "data")


def test_a_classifier_that_parts_as_well_is_no_matter_of_masks() -> None:
    both = changed(NUCLEI, loss__val_loss_mask=lambda v: 2.5 * v, loss__val_loss_classifier=lambda v: 2 * v)
    assert splits_differ(both) == []


def test_a_gap_that_opens_late_is_overfitting() -> None:
    late = [1.0] * 10 + [3.0] * 12
    assert splits_differ(changed(NUCLEI, loss__val_loss_mask=lambda value: late * value)) == []


@pytest.mark.parametrize(("loss", "kind"), [("loss_classifier", "labels"), ("loss_mask", "masks")])
def test_what_is_easier_on_validation_is_wrong_at_random_in_training(loss: str, kind: str) -> None:
    """30 % shuffled labels of three classes leave 20 % wrong: 0.50 nats cannot be learned, see docs/diagnosis.md."""
    noisy = changed(SHAPES, **{f"loss__train_{loss}": lambda value: 1.7 * value})
    (verdict,) = training_is_noisier(noisy)
    assert verdict.line == loss
    assert f"{kind} of the training pictures are wrong" in verdict.says


def test_a_training_that_is_harder_in_every_head_is_augmentation() -> None:
    harder = {f"loss__train_{loss}": (lambda v: 1.7 * v) for loss in ("loss_classifier", "loss_mask", "loss_box_reg")}
    assert training_is_noisier(changed(SHAPES, **harder)) == []


def test_proposals_that_are_bad_on_one_split_leave_its_heads_nothing_to_compare() -> None:
    noisy = {"loss__val_loss_mask": lambda value: 0.6 * value}
    assert training_is_noisier(changed(SHAPES, **noisy))
    assert training_is_noisier(changed(SHAPES, **noisy, loss__val_loss_objectness=lambda value: 2 * value)) == []


def test_masks_found_far_better_than_boxes_mean_boxes_that_do_not_fit() -> None:
    (verdict,) = boxes_do_not_fit_masks(changed(NUCLEI, mAP__bbox_AP75=lambda ap: ap / 4))
    assert (verdict.severity, verdict.line) == ("severe", "bbox_ap")
    assert boxes_do_not_fit_masks(recorded("balloon")) == []


def test_good_masks_with_uncertain_classes_mean_labels_that_do_not_fit() -> None:
    unsure = changed(
        recorded("shapes_mult_10"), loss__train_loss_classifier=0.62, share__loss_classifier=0.5, mask__accuracy=0.92
    )
    (verdict,) = labels_do_not_fit(unsure)
    assert verdict.line == "loss_classifier"
    assert labels_do_not_fit(with_facts(unsure, classes=1)) == []
    assert labels_do_not_fit(with_facts(unsure, classes=None)) == []
    assert labels_do_not_fit(recorded("shapes_mult_10")) == []


def test_a_third_easier_on_validation_is_a_warning_and_half_is_severe() -> None:
    told = []
    for factor in (0.68, 0.5):
        (verdict,) = training_is_noisier(changed(SHAPES, loss__val_loss_mask=lambda v, by=factor: by * v))
        told.append(verdict.severity)
    assert told == ["warning", "severe"]
