"""Rules against real runs: what is healthy stays without a fault at every epoch, what is not is named early."""

from __future__ import annotations

import pytest

from maskrcnn_exp.diagnose.diagnosis import diagnose
from tests.diagnose.recorded import HEALTHY, recorded


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_has_no_fault_after_any_epoch(name: str) -> None:
    for epoch in range(1, len(recorded(name)) + 1):
        diagnosis = diagnose(recorded(name, epoch))
        assert not diagnosis.faults, (epoch, [verdict.says for verdict in diagnosis.faults])


def test_a_mask_head_of_a_fiftieth_of_the_rate_is_named_from_the_second_epoch_on() -> None:
    for epoch in range(2, 7):
        first = diagnose(recorded("shapes_mult_0.02", epoch)).first
        assert first is not None
        assert (first.rule, first.part, first.severity) == ("undertrained_part", "mask", "severe")
        assert first.since == 1


def test_low_mask_ap_is_a_consequence_of_the_rate_and_no_second_finding() -> None:
    diagnosis = diagnose(recorded("shapes_mult_0.02"))
    assert len(diagnosis.faults) == 1
    assert ("high_loss_low_ap", "undertrained_part") in [(one.rule, cause) for one, cause in diagnosis.consequences]


def test_a_mask_head_of_a_fifth_of_the_rate_is_a_warning() -> None:
    first = diagnose(recorded("shapes_mult_0.2")).first
    assert first is not None
    assert (first.rule, first.part, first.severity) == ("undertrained_part", "mask", "warning")


@pytest.mark.parametrize("name", ["shapes_mult_0.02", "shapes_mult_0.2"])
def test_the_prescribed_multiplier_is_among_the_best_measured(name: str) -> None:
    """Measured mask AP over lr.mask_mult, three seeds: 0.35 at 0.02, 0.52 at 0.2, 0.59 at 1, 0.60 at 4, 0.62 at 10."""
    first = diagnose(recorded(name)).first
    assert first is not None
    assert first.prescription is not None
    (word,) = first.prescription.words
    key, _, value = word.partition("=")
    assert key == "lr.mask_mult"
    assert 2 < float(value) < 10


def test_thirty_times_the_rate_under_sgd_is_named_and_lowered() -> None:
    first = diagnose(recorded("shapes_sgd_mult_30")).first
    assert first is not None
    assert (first.rule, first.part, first.severity) == ("overdriven_part", "mask", "severe")
    assert first.prescription is not None
    assert 1 < float(first.prescription.words[0].removeprefix("lr.mask_mult=")) < 15


def test_a_warmup_longer_than_the_run_is_named() -> None:
    first = diagnose(recorded("shapes_long_warmup")).first
    assert first is not None
    assert first.rule == "warmup_too_long"
    assert first.prescription is not None
    assert first.prescription.words == ("schedule.warmup_steps=9",)  # a tenth of 12 epochs of 8 steps


def test_clipping_every_step_under_adamw_is_a_note_with_the_recommended_norm() -> None:
    diagnosis = diagnose(recorded("shapes_always_clipped"))
    verdict = next(one for one in diagnosis.verdicts if one.rule == "clipping_is_the_rate")
    assert verdict.severity == "info"
    assert verdict.prescription is None
    norm = next(one for one in verdict.evidence if one.name == "median norm")
    assert norm.values[0] > 2.25  # the limit
    assert "recommended" in norm.note
