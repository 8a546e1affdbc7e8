"""The verdict's numbers, worked by hand, and how often its interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maskrcnn_exp.compare.repeat_stats import Lost, compare_arms, metric_unit
from maskrcnn_exp.compare.student_t import student_t_quantile


def test_welch_interval_of_a_hand_worked_example() -> None:
    # best 40 42 44: mean 42, sd 2, s²/n = 4/3; default 39 40 41: mean 40, sd 1, s²/n = 1/3. Sum 5/3, root 1.29099.
    # Degrees: (5/3)² / ((16/9)/2 + (1/9)/2) = 2.7778 / 0.94444 = 2.94118. t = 3.2194 there, half width 4.1563.
    verdict = compare_arms([0.40, 0.42, 0.44], [0.39, 0.40, 0.41], "maximize")
    assert verdict.best.mean == pytest.approx(0.42)
    assert verdict.best.sd == pytest.approx(0.02)
    assert verdict.default.sd == pytest.approx(0.01)
    assert verdict.difference == pytest.approx(0.02)
    assert verdict.half_width == pytest.approx(student_t_quantile(0.975, 50 / 17) * math.sqrt(5 / 3) / 100)
    assert verdict.half_width == pytest.approx(0.041563, abs=1e-5)
    assert not verdict.paired
    assert verdict.sentence == "+2.0 ± 4.2 points over the default: not proven"


def test_welch_interval_of_arms_of_different_length() -> None:
    # best 1 2 3 4 5: s²/n = 2.5/5 = 0.5; default 1 3: s²/n = 2/2 = 1. Degrees: 1.5² / (0.5²/4 + 1²/1) = 36/17.
    verdict = compare_arms([1, 2, 3, 4, 5], [1, 3], "maximize", 1)
    assert verdict.half_width == pytest.approx(student_t_quantile(0.975, 36 / 17) * math.sqrt(1.5))


def test_same_seeds_in_any_order_are_paired() -> None:
    # By seed 1 2 3: 43-40, 45-41, 47-42 = 3 4 5: mean 4, sd 1. Half width 4.30265 * 1 / sqrt(3) = 2.4841.
    # Unpaired it would be ± 3.9 and prove less.
    best, default = [0.43, 0.45, 0.47], [0.42, 0.40, 0.41]
    verdict = compare_arms(best, default, "maximize", best_seeds=[1, 2, 3], default_seeds=[3, 1, 2])
    assert verdict.paired
    assert verdict.difference == pytest.approx(0.04)
    assert verdict.half_width == pytest.approx(0.024841, abs=1e-6)
    assert verdict.sentence == "+4.0 ± 2.5 points over the default: real"


@pytest.mark.parametrize(
    ("best_seeds", "default_seeds"),
    [([1, 2, 3], [3, 4, 5]), ([1, 1, 2], [1, 1, 2]), (None, [1, 2, 3])],
    ids=["others", "one_twice", "unknown"],
)
def test_without_two_seeds_in_common_arms_are_not_paired(
    best_seeds: list[int] | None, default_seeds: list[int] | None
) -> None:
    values = [0.1, 0.2, 0.4]
    assert not compare_arms(values, values, "maximize", best_seeds=best_seeds, default_seeds=default_seeds).paired


def test_seeds_that_one_arm_lost_are_left_out_of_the_pairs() -> None:
    # Seeds 1 2 3 have both: 43-40, 45-41, 47-42 = 3 4 5; the winner's 60 of seed 4 meets nobody.
    verdict = compare_arms(
        [0.43, 0.45, 0.47, 0.60],
        [0.40, 0.41, 0.42],
        "maximize",
        best_seeds=[1, 2, 3, 4],
        default_seeds=[1, 2, 3],
        default_lost=Lost(1),
    )
    assert verdict.paired
    assert verdict.sentence == "+4.0 ± 2.5 points over the default: real; the default failed in 1 of 4"


def test_a_winner_that_lost_more_repeats_than_the_default_is_never_real() -> None:
    values = [0.43, 0.45, 0.47], [0.40, 0.41, 0.42]
    verdict = compare_arms(*values, "maximize", best_seeds=[1, 2, 3], default_seeds=[1, 2, 3], best_lost=Lost(2, 2))
    assert verdict.outcome == "not proven"
    assert verdict.sentence == "+4.0 ± 2.5 points over the default: not proven; the winner diverged in 2 of 5"
    assert verdict.table()[0] == ("winner", "45.0 ± 2.0 points", "3 of 5")


def test_a_winner_without_any_value_is_told_with_its_losses() -> None:
    verdict = compare_arms([], [0.4, 0.5], "maximize", best_lost=Lost(5, 3))
    assert verdict.sentence.endswith("nothing can be said; the winner failed in 5 of 5, 3 of them diverged")


def test_pairing_is_kept_where_it_makes_the_interval_wider() -> None:
    # The arms go against each other: differences -4 0 4 points.
    verdict = compare_arms(
        [0.40, 0.42, 0.44], [0.44, 0.42, 0.40], "maximize", best_seeds=[1, 2, 3], default_seeds=[1, 2, 3]
    )
    welch = compare_arms([0.40, 0.42, 0.44], [0.44, 0.42, 0.40], "maximize")
    assert verdict.paired
    assert verdict.half_width > welch.half_width


def test_worse_is_said_in_plain_words() -> None:
    verdict = compare_arms([0.400, 0.402, 0.401], [0.420, 0.422, 0.421], "maximize")
    assert verdict.outcome == "worse"
    assert verdict.sentence == "-2.0 ± 0.2 points: worse than the default"


def test_less_is_better_when_minimising() -> None:
    verdict = compare_arms([0.50, 0.51, 0.52], [0.80, 0.81, 0.82], "minimize", unit_scale=1)
    assert verdict.outcome == "real"
    assert verdict.sentence == "-0.30 ± 0.02 (less is better) against the default: real"
    assert compare_arms([0.80, 0.81, 0.82], [0.50, 0.51, 0.52], "minimize", 1).outcome == "worse"


def test_one_repeat_says_nothing_about_noise() -> None:
    verdict = compare_arms([0.45], [0.42, 0.41], "maximize")
    assert verdict.outcome == "unknown"
    assert math.isnan(verdict.half_width)
    assert verdict.sentence == "+3.5 points over the default: one repeat says nothing about noise"


def test_no_repeat_is_said_and_not_an_error() -> None:
    verdict = compare_arms([], [0.4], "maximize")
    assert verdict.outcome == "unknown"
    assert verdict.sentence == "no repeat of both the winner and the default finished: nothing can be said"
    assert verdict.table() == [("winner", "none finished", "0"), ("default", "40.0 points", "1")]


def test_a_seed_that_changes_nothing_proves_nothing() -> None:
    verdict = compare_arms([0.45] * 3, [0.42] * 3, "maximize", best_seeds=[1, 2, 3], default_seeds=[1, 2, 3])
    assert verdict.outcome == "unknown"
    assert "the seed changes nothing here" in verdict.sentence


def test_table_shows_mean_and_standard_deviation_in_points() -> None:
    verdict = compare_arms([0.40, 0.42, 0.44], [0.39, 0.40, 0.41], "maximize")
    assert verdict.table() == [("winner", "42.0 ± 2.0 points", "3"), ("default", "40.0 ± 1.0 points", "3")]


def test_failed_repeat_and_wrong_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="best: got nan, expected finite numbers"):
        compare_arms([0.4, math.nan], [0.3, 0.2], "maximize")
    with pytest.raises(ValueError, match="default: got 1 seeds for 2 values"):
        compare_arms([0.4, 0.5], [0.3, 0.2], "maximize", best_seeds=[1, 2], default_seeds=[1])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("mAP/segm_AP@best", (100.0, "points")),
        ("mAP/bbox_AP50", (100.0, "points")),
        ("mAP/segm_APs@last", (100.0, "points")),
        ("mAP/segm_AR100", (100.0, "points")),
        ("mAP/segm_AP_maxdets100", (100.0, "points")),
        ("time/step_s@sum", (1.0, "s")),
        ("loss/val@best", (1.0, "")),
        ("clip/mask", (1.0, "")),
        ("value", (1.0, "")),
    ],
)
def test_unit_of_a_metric_is_known_by_its_tag(metric: str, expected: tuple[float, str]) -> None:
    assert metric_unit(metric) == expected


@pytest.mark.parametrize("paired", [True, False])
def test_interval_holds_the_truth_95_times_of_100(paired: bool) -> None:
    """Five and four seeds, arms with unequal noise, a true difference of 1."""
    rng = np.random.default_rng(7)
    trials, held = 2000, 0
    for _ in range(trials):
        shared = rng.normal(size=5)
        default = 10 + shared + rng.normal(size=5)
        best = 11 + shared + 3 * rng.normal(size=5)
        seeds = list(range(5)) if paired else None
        verdict = compare_arms(
            best if paired else best[:4], default, "maximize", 1, best_seeds=seeds, default_seeds=seeds
        )
        held += abs(verdict.difference - 1) <= verdict.half_width
    assert 0.93 <= held / trials <= 0.97
