"""loss_mask flat, slow, stopped: the document's first problem."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.rules.mask_loss import mask_loss_flat, mask_loss_slower, mask_plateau_early
from tests.diagnose.recorded import changed, made, recorded

NUCLEI = recorded("nuclei")


def unknown_rates(curves: Curves) -> Curves:
    """A log without update ratios, as other programs write it."""
    kept = {tag: values for tag, values in curves.values.items() if not tag.startswith("update_ratio/")}
    return replace(curves, values=kept)


def flat(level: float, drop: float = 0.03) -> Curves:
    """Nuclei with a mask loss that falls by a share of itself, and masks that show it."""
    loss = np.linspace(level, level * (1 - drop), len(NUCLEI))
    return changed(NUCLEI, loss__train_loss_mask=loss, mAP__segm_AP=lambda ap: 0.85 * ap)


def test_the_documents_flat_mask_loss_is_found_and_a_faster_mask_head_prescribed() -> None:
    """0.400, 0.380, 0.370 at epochs 1, 10, 20."""
    (verdict,) = mask_loss_flat(unknown_rates(flat(0.40, 0.075)))
    assert (verdict.part, verdict.line, verdict.brief) == ("mask", "loss_mask", "barely moving")
    assert verdict.prescription is not None
    assert verdict.prescription.words[0].startswith("lr.mask_mult=")
    assert any(one.document == "0.08–0.20 at the end" for one in verdict.evidence)


def test_the_prescription_follows_from_how_much_faster_the_others_fall() -> None:
    def prescribed(curves: Curves) -> float:
        (verdict,) = mask_loss_flat(unknown_rates(curves))
        assert verdict.prescription is not None
        return float(verdict.prescription.words[0].partition("=")[2])

    assert prescribed(flat(0.5, 0.02)) > prescribed(flat(0.5, 0.09))


def test_a_flat_loss_is_no_trouble_while_mask_ap_rises_with_the_boxes() -> None:
    rising = np.linspace(0.1, 0.5, len(NUCLEI))
    assert mask_loss_flat(changed(flat(0.5), mAP__segm_AP=rising, mAP__bbox_AP=rising)) == []
    (verdict,) = mask_loss_flat(changed(flat(0.5), mAP__segm_AP=0.6 * rising, mAP__bbox_AP=rising))
    assert verdict.rule == "mask_loss_flat"


def test_where_the_mask_head_moves_as_fast_as_the_others_the_masks_are_to_blame() -> None:
    (verdict,) = mask_loss_flat(flat(0.5))
    assert verdict.severity == "severe"
    assert "cannot be learned" in verdict.says
    assert verdict.prescription is not None
    assert verdict.prescription.command == "check-data"


def test_a_mask_loss_that_is_low_may_be_flat() -> None:
    assert mask_loss_flat(flat(0.18)) == []


def test_masks_as_good_as_their_boxes_may_have_a_flat_loss() -> None:
    assert mask_loss_flat(changed(flat(0.5), mAP__segm_AP=lambda _: NUCLEI.ap("bbox"))) == []


def test_flat_with_everything_else_flat_is_not_the_mask_heads_fault() -> None:
    still = changed(flat(0.5), loss__train_loss_classifier=0.4, loss__train_loss_objectness=0.1)
    assert mask_loss_flat(still) == []


def test_a_few_epochs_of_many_are_too_few_to_call_it_flat() -> None:
    for epochs in range(1, 9):
        assert mask_loss_flat(recorded("nuclei", epochs)) == []


def test_noise_around_a_falling_curve_is_not_flat() -> None:
    rng = np.random.default_rng(0)
    noisy = NUCLEI.train("loss_mask") * (1 + 0.03 * rng.standard_normal(len(NUCLEI)))
    bad = changed(NUCLEI, loss__train_loss_mask=1.2 * noisy, mAP__segm_AP=lambda ap: 0.85 * ap)
    assert mask_loss_flat(bad) == []


def test_a_mask_loss_far_slower_than_the_others_is_a_warning() -> None:
    (verdict,) = mask_loss_slower(flat(0.50, 0.12))
    assert verdict.severity == "warning"
    assert mask_loss_slower(NUCLEI) == []


def test_a_mask_loss_that_stops_half_way_is_found_while_there_is_time_left() -> None:
    falling = np.geomspace(1.0, 0.1, 14)
    stopped = np.maximum(0.7 * falling, 0.40)
    tags = {
        "loss/train_loss_mask": stopped,
        "loss/train_loss_objectness": 0.5 * falling,
        "loss/train_loss_classifier": 0.8 * falling,
        "lr/mask": np.full(14, 0.001),
    }
    (verdict,) = mask_plateau_early(made(tags, epochs=30))
    assert verdict.brief == "stopped early"
    assert mask_plateau_early(made(tags | {"lr/mask": falling**2}, epochs=30)) == []  # the rate ended it
    assert mask_plateau_early(made(tags, epochs=14)) == []  # the run is over
    assert mask_plateau_early(made(tags | {"loss/train_loss_mask": 0.7 * falling}, epochs=30)) == []


def test_dice_has_no_chance_level_and_is_judged_by_its_own_height() -> None:
    falling = np.geomspace(1.0, 0.2, 12)
    tags = {
        "loss/train_loss_mask": np.linspace(1.4, 1.37, 12),
        "loss/train_loss_objectness": 0.5 * falling,
        "loss/train_loss_classifier": 0.8 * falling,
    }
    curves = made(tags, mask_chance=None)
    (verdict,) = mask_loss_flat(curves)
    assert verdict.severity == "severe"
    assert not math.isnan(verdict.confidence)
