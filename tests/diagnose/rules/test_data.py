"""Formats that say something else than meant."""

from __future__ import annotations

import pytest

from maskrcnn_exp.diagnose.rules.data import ap_stays_zero, loss_is_zero, pixel_normalisation, trivial_masks
from tests.diagnose.recorded import changed, recorded, with_facts

SHAPES, NUCLEI = recorded("shapes_mult_1"), recorded("nuclei")


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        ({"image_mean": (123.7, 116.3, 103.5), "image_std": (58.4, 57.1, 57.4)}, "severe"),
        ({"image_std": (0.001, 0.001, 0.001)}, "severe"),
        ({"image_mean": (0.0, 0.0, 0.0), "image_std": (1.0, 1.0, 1.0), "pretrained": True}, "warning"),
        (
            {"image_mean": (0.0, 0.0, 0.0), "image_std": (1.0, 1.0, 1.0), "pretrained": True, "frozen_norm": True},
            "severe",
        ),
    ],
)
def test_pixels_normalised_for_another_range_are_found(facts: dict[str, object], severity: str) -> None:
    (verdict,) = pixel_normalisation(with_facts(SHAPES, **facts))
    assert (verdict.severity, verdict.part) == (severity, "data")
    assert verdict.prescription is not None
    assert verdict.prescription.words[0] == "model.image_mean=[0.485,0.456,0.406]"


def test_other_figures_for_random_weights_are_fine() -> None:
    own = with_facts(SHAPES, image_mean=(0.0, 0.0, 0.0), image_std=(1.0, 1.0, 1.0))
    assert pixel_normalisation(own) == []
    assert pixel_normalisation(SHAPES) == []


def test_heads_that_learn_without_any_ap_are_a_matter_of_ids() -> None:
    (verdict,) = ap_stays_zero(changed(SHAPES, mAP__bbox_AP=0.0, mAP__segm_AP=0.0))
    assert (verdict.severity, verdict.line) == ("severe", "bbox_ap")
    assert "category ids" in verdict.says


def test_no_ap_from_heads_that_have_not_learned_is_no_matter_of_ids() -> None:
    unlearned = changed(SHAPES, mAP__bbox_AP=0.0, mask__accuracy=0.6, loss__train_loss_classifier=0.7)
    assert ap_stays_zero(unlearned) == []
    assert ap_stays_zero(recorded("nuclei", 3)) == []


def test_mask_pixels_that_are_all_right_are_too_good_to_be_true() -> None:
    (verdict,) = trivial_masks(changed(NUCLEI, mask__accuracy=0.999))
    assert verdict.severity == "severe"
    assert trivial_masks(changed(NUCLEI, mask__accuracy=0.97)) == []


def test_a_loss_of_exactly_zero_means_that_nothing_reaches_its_head() -> None:
    zero = changed(NUCLEI, loss__train_loss_mask=0.0, loss__train_loss_box_reg=0.0)
    (verdict,) = loss_is_zero(zero)
    assert "loss_box_reg and loss_mask are exactly 0" in verdict.says
    assert loss_is_zero(NUCLEI) == []


def test_a_mean_near_imagenets_suits_pretrained_weights() -> None:
    near = with_facts(SHAPES, image_mean=(0.42, 0.42, 0.42), pretrained=True)
    assert pixel_normalisation(near) == []
    assert len(pixel_normalisation(with_facts(near, image_mean=(0.3, 0.42, 0.42)))) == 1


def test_a_mid_grey_of_three_deviations_is_still_a_picture() -> None:
    def told(std: float) -> int:
        return len(pixel_normalisation(with_facts(SHAPES, image_mean=(0.2, 0.2, 0.2), image_std=(std, std, std))))

    assert told(0.1) == 0  # 3
    assert told(0.05) == 1  # 6


def test_a_deviation_of_a_hundredth_is_named_even_at_mid_grey() -> None:
    grey = with_facts(SHAPES, image_mean=(0.5, 0.5, 0.5), image_std=(0.01, 0.01, 0.01))
    assert len(pixel_normalisation(grey)) == 1
    assert pixel_normalisation(with_facts(grey, image_std=(0.04, 0.04, 0.04))) == []


def test_a_classifier_that_only_came_down_from_an_explosion_has_not_learned() -> None:
    exploded = [13.6, 2.3, 0.73, 0.75, 0.71, 0.71]  # of a guess's 1.39, far below 13.6
    zero = changed(SHAPES, mAP__bbox_AP=0.0, mask__accuracy=0.59, loss__train_loss_classifier=exploded)
    assert ap_stays_zero(zero) == []
