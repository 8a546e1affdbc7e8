"""What follows from a record and a configuration before any rule looks at it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maskrcnn_exp.diagnose.curves import Curves
from tests.diagnose.recorded import changed, made, recorded, with_facts


def test_an_epoch_without_a_point_reads_as_nan_and_an_unknown_tag_too() -> None:
    curves = made({"loss/train_total": [3.0, 2.0, 1.0], "loss/val": [math.nan, 2.0, math.nan]})
    np.testing.assert_array_equal(curves["loss/val"], [math.nan, 2.0, math.nan])
    assert np.isnan(curves["mAP/segm_AP"]).all()
    assert curves.has("loss/val")
    assert not curves.has("loss/val", "mAP/segm_AP")


def test_values_that_are_not_finite_are_kept_apart() -> None:
    curves = Curves.of_points("run", {"loss/train_total": {1: 2.0, 2: math.inf}})
    assert math.isnan(curves["loss/train_total"][1])
    assert [(bad.tag, bad.at, bad.value) for bad in curves.bad] == [("loss/train_total", 2, math.inf)]


def test_warmup_is_counted_in_epochs_and_the_first_epoch_never_settles() -> None:
    shapes, long = recorded("shapes_mult_1"), recorded("shapes_long_warmup")
    assert shapes.steps_per_epoch == pytest.approx(50)
    assert shapes.warmup == pytest.approx(2.0)  # 100 steps
    assert shapes.settled == 2  # the third epoch
    assert long.warmup > 12
    assert with_facts(shapes, warmup_steps=0).settled == 1


def test_without_a_configuration_the_warmup_is_read_off_the_rate() -> None:
    rates = {"loss/train_total": [1.0] * 6, "lr/mask": [0.2, 0.6, 1.0, 1.0, 0.5, 0.1]}
    assert made(rates).settled == 2


def test_healthy_heads_have_a_pace_of_one() -> None:
    for name in ("shapes_mult_1", "nuclei", "balloon"):
        for head in ("rpn", "box", "mask"):
            assert 0.6 < recorded(name).pace(head) < 1.5, (name, head)  # type: ignore[arg-type]


def test_the_mask_head_of_a_fiftieth_of_the_rate_is_far_behind() -> None:
    assert recorded("shapes_mult_0.02").times_behind("mask") > 60
    assert recorded("shapes_mult_1").times_behind("mask") == pytest.approx(5, abs=1)


def test_an_update_ratio_in_decay_counts_as_at_the_full_rate() -> None:
    """0.001 at half of the rate is 0.002 at all of it."""
    half = changed(recorded("shapes_mult_1"), update_ratio__box=0.001, lr__box=0.0005)
    assert half.update_ratio("box") == pytest.approx(0.002)


def test_mask_over_box_ap_is_not_taken_at_low_ap() -> None:
    assert math.isnan(made({"mAP/bbox_AP": [0.1], "mAP/segm_AP": [0.01]}).fit())
    assert made({"mAP/bbox_AP": [0.1, 0.4, 0.5], "mAP/segm_AP": [0.0, 0.3, 0.4]}).fit() == pytest.approx(0.775)


def test_shares_are_computed_with_the_weights_where_they_were_not_recorded() -> None:
    losses = {f"loss/train_{name}": [1.0] for name in ("loss_objectness", "loss_rpn_box_reg", "loss_classifier")}
    losses |= {"loss/train_loss_box_reg": [1.0], "loss/train_loss_mask": [1.0]}
    weights = dict.fromkeys((tag.removeprefix("loss/train_") for tag in losses), 1.0) | {"loss_mask": 4.0}
    assert made(losses, loss_weight=weights).shares["loss_mask"][0] == pytest.approx(0.5)
