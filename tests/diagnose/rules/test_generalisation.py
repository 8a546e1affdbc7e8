"""Training against validation."""

from __future__ import annotations

import numpy as np

from maskrcnn_exp.diagnose.rules.generalisation import overfit, plateau, unfinished, validation_gap
from tests.diagnose.recorded import changed, recorded, with_facts

NUCLEI = recorded("nuclei")
RISING = np.r_[np.linspace(1.9, 1.2, 12), np.linspace(1.2, 1.9, 10)]


def test_a_validation_loss_that_rises_while_training_falls_is_overfitting() -> None:
    worse = changed(NUCLEI, loss__val=RISING, mAP__segm_AP=np.r_[np.linspace(0, 0.4, 12), np.linspace(0.4, 0.3, 10)])
    (verdict,) = overfit(changed(worse, mAP__bbox_AP=0.4))
    assert (verdict.severity, verdict.line) == ("severe", "val_total")
    assert 12 <= verdict.since <= 14
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("trainer.epochs=12",)  # nuclei are augmented already


def test_the_head_that_overfits_is_named() -> None:
    rise = np.r_[np.full(12, 0.3), np.linspace(0.3, 0.9, 10)]
    (verdict,) = overfit(changed(NUCLEI, loss__val=RISING, loss__val_loss_mask=rise, mAP__segm_AP=0.3))
    assert verdict.part == "mask"
    assert "most of it by loss_mask" in verdict.says


def test_pictures_shown_as_they_are_get_augmentation_first() -> None:
    plain = with_facts(
        NUCLEI, augment={"horizontal_flip": 0.5, "vertical_flip": 0.0, "scale_min": 1.0, "scale_max": 1.0}
    )
    (verdict,) = overfit(changed(plain, loss__val=RISING, mAP__segm_AP=0.3))
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("augment=photo",)


def test_a_rise_within_the_noise_is_no_overfitting() -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        noisy = np.linspace(1.5, 1.4, len(NUCLEI)) * (1 + 0.04 * rng.standard_normal(len(NUCLEI)))
        assert overfit(changed(NUCLEI, loss__val=noisy)) == []


def test_while_ap_still_rises_it_is_a_note() -> None:
    rising = changed(NUCLEI, loss__val=RISING, mAP__segm_AP=np.linspace(0.0, 0.6, len(NUCLEI)))
    assert [one.severity for one in overfit(rising)] == ["info"]


def test_three_validations_are_too_few() -> None:
    few = changed(recorded("nuclei", 7), loss__val=[2, 2, 2, 2, 1.0, 2.0, 3.0])
    assert overfit(few) == []


def test_a_validation_loss_of_twice_the_training_loss_means_too_few_pictures() -> None:
    (verdict,) = validation_gap(changed(NUCLEI, loss__val=lambda v: 2.5 * v, loss__val_loss_classifier=2.0))
    assert verdict.part == "box"
    assert validation_gap(recorded("balloon")) == []


def test_a_standing_loss_at_a_standing_rate_is_a_plateau() -> None:
    still = changed(NUCLEI, loss__train_total=1.5, lr__mask=0.001, mAP__segm_AP=0.4)
    (verdict,) = plateau(still)
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("schedule=cosine",)
    assert plateau(NUCLEI) == []  # flat at the end, but so is the rate


def test_ap_that_still_rises_at_the_end_asks_for_more_epochs_in_proportion() -> None:
    (verdict,) = unfinished(recorded("shapes_mult_1"))
    assert verdict.severity == "info"
    assert verdict.prescription is not None
    assert 6 < int(verdict.prescription.words[0].removeprefix("trainer.epochs=")) <= 12
    assert unfinished(recorded("shapes_mult_1", 5)) == []
    assert unfinished(NUCLEI) == []


def test_a_total_that_still_falls_by_four_percent_is_no_plateau() -> None:
    def told(fall: float) -> int:
        total = np.r_[np.full(16, 1.5), np.linspace(1.5, 1.5 * (1 - fall), 6)]
        return len(plateau(changed(NUCLEI, loss__train_total=total, lr__mask=0.001, mAP__segm_AP=0.4)))

    assert told(0.04) == 0
    assert told(0.01) == 1
