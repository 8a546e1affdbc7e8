"""NaN and infinity, in the black box and in the record."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskrcnn_exp.diagnose.curves import Crash, Curves
from maskrcnn_exp.diagnose.rules.nonfinite import not_finite
from tests.diagnose.recorded import recorded, with_facts

PARTS = ("backbone", "fpn", "rpn", "box", "mask")


def crash(norms: list[float]) -> Crash:
    steps: list[dict[str, Any]] = [{"grad_norm": dict.fromkeys(PARTS, 1.0) | {"mask": norm}} for norm in norms]
    return Crash(Path("run/black_box/step_0000120"), 120, 3, "loss_mask = nan", (17, "b.png"), tuple(steps))


def test_a_finite_run_is_fine() -> None:
    assert not_finite(recorded("shapes_mult_1")) == []


def test_a_gradient_that_grew_before_is_the_learning_rates_fault() -> None:
    run = with_facts(replace(recorded("shapes_mult_1", 2), crash=crash([1, 1, 1, 3, 30, math.nan])), clip="none")
    (verdict,) = not_finite(run)
    assert (verdict.part, verdict.severity, verdict.since, verdict.line) == ("mask", "severe", 3, "loss_mask")
    assert "30 times its median" in verdict.says
    assert verdict.prescription is not None
    assert verdict.prescription.words[0] == "clip=global"


def test_where_it_was_clipped_already_the_parts_rate_is_lowered_by_the_growth() -> None:
    (verdict,) = not_finite(replace(recorded("shapes_mult_1", 2), crash=crash([1, 1, 1, 3, 30, math.nan])))
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("lr.mask_mult=0.012",)  # 1 / 30 ** 1.3


def test_a_bad_step_out_of_nothing_is_a_pictures_fault_and_the_pictures_are_named() -> None:
    (verdict,) = not_finite(replace(recorded("shapes_mult_1", 2), crash=crash([1, 1.2, 1, 0.9, math.nan])))
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("replay=run/black_box/step_0000120",)
    assert any("17, b.png" in one.note for one in verdict.evidence)


def test_a_rate_far_above_the_optimizers_own_is_the_cause_whatever_the_norms_were() -> None:
    run = with_facts(replace(recorded("shapes_mult_1", 2), crash=crash([1, 1.2, math.nan])), base_lr=5.0)
    (verdict,) = not_finite(run)
    assert "5e+03 times the optimizer's own" in verdict.says
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("lr.base=0.001",)


def test_a_recorded_nan_is_found_with_its_epoch() -> None:
    run = Curves.of_points("run", {"loss/train_loss_mask": {1: 0.7, 2: math.nan, 3: math.nan}})
    (verdict,) = not_finite(run)
    assert (verdict.part, verdict.since) == ("mask", 2)


def test_an_average_precision_that_is_nan_is_no_divergence() -> None:
    assert not_finite(Curves.of_points("run", {"mAP/segm_AP": {1: math.nan}, "loss/train_total": {1: 2.0}})) == []


def test_a_norm_that_tripled_is_no_growth() -> None:
    """Norms jump threefold in healthy runs; from five times on they grew."""
    told = {
        grown: not_finite(replace(recorded("shapes_mult_1", 2), crash=crash([1, 1, 1, grown, math.nan])))[0].says
        for grown in (3.0, 7.0)
    }
    assert "without growth before it" in told[3.0]
    assert "7 times its median" in told[7.0]
