"""Clipping of nearly every step."""

from __future__ import annotations

import pytest

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.rules.clipping import clipping_is_the_rate
from tests.diagnose.recorded import changed, recorded, with_facts

PARTS = ("backbone", "fpn", "rpn", "box", "mask")


def clipped(share: float, limit: float, *, adaptive: bool, slower: float = 1.0) -> Curves:
    """A healthy run's norms under a limit that touches `share` of the steps, its updates `slower` times smaller."""
    curves = changed(
        recorded("shapes_mult_1"),
        **{f"clip__{part}": share for part in PARTS},
        **{f"update_ratio__{part}": (lambda ratio: ratio / slower) for part in PARTS},
    )
    return with_facts(curves, adaptive=adaptive, clip="global", clip_limit=dict.fromkeys(PARTS, limit))


def test_under_sgd_a_limit_far_below_the_norms_is_the_learning_rate() -> None:
    (verdict,) = clipping_is_the_rate(clipped(1.0, 0.1, adaptive=False, slower=50))
    assert (verdict.severity, verdict.part) == ("severe", "run")
    assert "the limit is the learning rate" in verdict.says
    assert verdict.prescription is not None
    (word,) = verdict.prescription.words
    assert 4 < float(word.removeprefix("clip.norm=")) < 12  # the norms are 4 to 10


def test_the_recommended_norm_is_the_90th_percentile_of_the_logged_steps_after_the_warmup() -> None:
    curves = clipped(1.0, 0.1, adaptive=False)
    (verdict,) = clipping_is_the_rate(curves)
    assert verdict.prescription is not None
    norm = float(verdict.prescription.words[0].removeprefix("clip.norm="))
    assert len(curves.total_norms) == 20  # 30 logged steps, 10 of them in the warm-up
    assert sum(curves.total_norms > norm) == pytest.approx(2, abs=1)


def test_under_adamw_it_is_a_note_unless_the_run_creeps() -> None:
    assert [one.severity for one in clipping_is_the_rate(clipped(1.0, 0.1, adaptive=True))] == ["info"]
    assert [one.severity for one in clipping_is_the_rate(clipped(1.0, 0.1, adaptive=True, slower=50))] == ["severe"]


def test_clipping_half_of_the_steps_is_no_finding() -> None:
    assert clipping_is_the_rate(clipped(0.5, 0.1, adaptive=False)) == []


def test_a_limit_just_below_the_norms_is_a_note_under_sgd_too() -> None:
    assert [one.severity for one in clipping_is_the_rate(clipped(1.0, 4.0, adaptive=False))] == ["info"]


def test_with_a_limit_per_part_the_part_is_named_and_gets_its_own() -> None:
    limits = dict.fromkeys(PARTS, 10.0) | {"mask": 0.01}
    curves = changed(recorded("shapes_mult_1"), clip__mask=1.0, update_ratio__mask=lambda ratio: ratio / 50)
    (verdict,) = clipping_is_the_rate(with_facts(curves, adaptive=False, clip="per_part", clip_limit=limits))
    assert (verdict.part, verdict.severity, verdict.line) == ("mask", "severe", "loss_mask")
    assert verdict.prescription is not None
    assert 0.4 < float(verdict.prescription.words[0].removeprefix("clip.mask=")) < 1.5
