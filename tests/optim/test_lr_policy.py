"""Rates and schedules worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_exp.model.parts import PARTS
from maskrcnn_exp.optim.lr_policy import LrPolicy, Schedule

COSINE = Schedule("cosine", total_steps=110, steps_per_epoch=10, warmup_steps=10, warmup_start=0.1, final=0.2)
MULTISTEP = Schedule("multistep", total_steps=120, steps_per_epoch=10, milestones=(8, 11), gamma=0.1)


def test_rate_is_base_times_multiplier_times_factor() -> None:
    policy = LrPolicy(base=0.02, mult={**dict.fromkeys(PARTS, 1.0), "mask": 10.0, "backbone": 0.0})
    assert policy.rate("mask") == pytest.approx(0.2)
    assert policy.rate("mask", 0.5) == pytest.approx(0.1)
    assert policy.rate("box") == pytest.approx(0.02)
    assert policy.rate("backbone", 0.5) == 0.0


def test_multipliers_are_one_unless_given() -> None:
    assert [LrPolicy(base=0.3).rate(part) for part in PARTS] == [0.3] * 5


def test_warm_up_is_linear_from_its_start_to_one() -> None:
    schedule = Schedule("constant", total_steps=100, steps_per_epoch=10, warmup_steps=4, warmup_start=0.2)
    # 0.2 + 0.8 · step / 4
    assert [schedule.factor(step) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_no_warm_up_starts_at_one() -> None:
    schedule = Schedule("constant", total_steps=100, steps_per_epoch=10, warmup_steps=0)
    assert [schedule.factor(step) for step in (0, 1, 99, 1000)] == [1.0] * 4


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1),  # the first step of the warm-up
        (5, 0.55),  # 0.1 + 0.9 · 5 / 10
        (10, 1.0),  # the curve begins: cos 0
        (35, 0.2 + 0.8 * 0.5 * (1 + math.sqrt(0.5))),  # a quarter of the 100 steps: cos 45°
        (60, 0.6),  # half: 0.2 + 0.8 · 0.5
        (110, 0.2),  # the end
        (500, 0.2),  # and stays there
    ],
)
def test_cosine_falls_after_the_warm_up(step: int, expected: float) -> None:
    assert COSINE.factor(step) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 1.0), (79, 1.0), (80, 0.1), (109, 0.1), (110, 0.01), (119, 0.01), (999, 0.01)]
)
def test_multistep_falls_at_the_end_of_each_milestone(step: int, expected: float) -> None:
    assert MULTISTEP.factor(step) == pytest.approx(expected)


def test_order_of_milestones_does_not_matter() -> None:
    turned = replace(MULTISTEP, milestones=(11, 8))
    assert [turned.factor(step) for step in range(120)] == [MULTISTEP.factor(step) for step in range(120)]


def test_warm_up_multiplies_the_curve() -> None:
    schedule = replace(MULTISTEP, warmup_steps=100, warmup_start=0.0)
    assert schedule.factor(90) == pytest.approx(0.9 * 0.1)


@pytest.mark.parametrize("warmup_steps", [100, 150])
def test_warm_up_may_be_as_long_as_the_training_or_longer(warmup_steps: int) -> None:
    schedule = Schedule("cosine", total_steps=100, steps_per_epoch=10, warmup_steps=warmup_steps, warmup_start=0.0)
    assert schedule.factor(50) == pytest.approx(50 / warmup_steps)


@given(
    kind=st.sampled_from(["cosine", "multistep", "constant"]),
    total=st.integers(1, 500),
    warmup=st.integers(0, 600),
    step=st.integers(0, 1000),
)
def test_factor_stays_between_the_smallest_and_one(kind: str, total: int, warmup: int, step: int) -> None:
    schedule = replace(COSINE, kind=kind, total_steps=total, warmup_steps=warmup, milestones=(3, 7))  # type: ignore[arg-type]
    assert 0.0 <= schedule.factor(step) <= 1.0


@given(warmup=st.integers(0, 50), step=st.integers(50, 200))
def test_cosine_never_rises_after_the_warm_up(warmup: int, step: int) -> None:
    schedule = replace(COSINE, warmup_steps=warmup)
    assert schedule.factor(step + 1) <= schedule.factor(step)
