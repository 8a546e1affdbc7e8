"""Losses that rise for good, and jumps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.rules.explosions import gradient_spikes, loss_exploding, loss_spikes
from tests.diagnose.recorded import changed, recorded, with_facts

HEALTHY = recorded("shapes_mult_1")


def jumping(tag: str, at: list[int], times: float) -> Curves:
    steps, values = HEALTHY.steps[tag]
    jumped = values.copy()
    jumped[at] *= times
    return replace(HEALTHY, steps={**HEALTHY.steps, tag: (steps, jumped)})


def test_the_documents_explosion_is_severe() -> None:
    """loss_mask 0.4, then 2.1."""
    mask = np.array([0.86, 0.43, 0.4, 0.9, 1.4, 2.1])
    total = HEALTHY["loss/train_total"] + mask - HEALTHY.train("loss_mask")
    exploding = changed(HEALTHY, loss__train_loss_mask=mask, loss__train_total=total)
    (verdict,) = loss_exploding(exploding)
    assert (verdict.part, verdict.severity, verdict.line) == ("mask", "severe", "loss_mask")
    assert verdict.since == 4  # from its best on
    assert verdict.prescription is not None


def test_a_loss_without_weight_in_the_total_explodes_nothing() -> None:
    tiny = changed(HEALTHY, loss__train_loss_rpn_box_reg=[0.004, 0.001, 0.001, 0.003, 0.006, 0.009])
    assert loss_exploding(tiny) == []


def test_box_regression_that_grows_while_proposals_get_better_is_healthy() -> None:
    assert loss_exploding(recorded("balloon")) == []  # 0.02 to 0.42 in four epochs


def test_where_nothing_limits_the_gradient_a_limit_is_prescribed() -> None:
    mask = np.array([0.86, 0.43, 0.4, 0.9, 1.4, 2.1])
    total = HEALTHY["loss/train_total"] + mask - HEALTHY.train("loss_mask")
    exploding = with_facts(changed(HEALTHY, loss__train_loss_mask=mask, loss__train_total=total), clip="none")
    (verdict,) = loss_exploding(exploding)
    assert verdict.prescription is not None
    assert verdict.prescription.words[0] == "clip=global"
    assert float(verdict.prescription.words[1].removeprefix("clip.norm=")) > 3


def test_single_jumps_of_the_total_are_noted_and_a_habit_is_a_warning() -> None:
    assert loss_spikes(HEALTHY) == []
    assert [one.severity for one in loss_spikes(jumping("step/total", [20], 15))] == ["info"]
    assert [one.severity for one in loss_spikes(jumping("step/total", [14, 20, 26], 15))] == ["warning"]


def test_jumps_of_a_gradient_are_a_warning_only_where_nothing_limits_it() -> None:
    spiky = jumping("step/grad_norm/mask", [14, 20, 26], 40)
    (caught,) = gradient_spikes(spiky)
    assert (caught.severity, caught.part, caught.prescription) == ("info", "mask", None)
    (free,) = gradient_spikes(with_facts(spiky, clip="none"))
    assert free.severity == "warning"
    assert free.prescription is not None
