"""Runs that differ in the seed only are one setting, and noise between seeds decides what is real."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from maskrcnn_exp.compare.groups import Comparison, compare
from maskrcnn_exp.compare.runs import MASK_AP, read_runs
from tests.compare.runs import write_run

BEFORE, AFTER = (0.50, 0.52, 0.51), (0.60, 0.61, 0.63)


def of(folder: Path, metric: str = MASK_AP) -> Comparison:
    return compare(read_runs([folder])[0], metric)


@pytest.fixture
def repeated(tmp_path: Path) -> Comparison:
    for seed, (before, after) in enumerate(zip(BEFORE, AFTER, strict=True)):
        write_run(tmp_path / f"{seed}", before, seed=seed)
        write_run(tmp_path / f"{10 + seed}", after, seed=seed, mask_mult=10)
    return of(tmp_path)


def test_seeds_are_joined_and_the_best_setting_comes_first(repeated: Comparison) -> None:
    assert [group.name for group in repeated.groups] == ["10 +2", "0 +2"]
    assert repeated.keys == ("lr.mask_mult",)
    assert repeated.best.differs == {"lr.mask_mult": 10}
    assert repeated.best.mean_best(MASK_AP) == pytest.approx(np.mean(AFTER))
    assert repeated.best.spread(MASK_AP) == pytest.approx(np.std(AFTER, ddof=1), rel=1e-5)
    assert repeated.baseline.name == "0 +2"  # of the run that was named first


def test_a_difference_is_judged_by_the_pairs_of_seeds(repeated: Comparison) -> None:
    verdict = repeated.verdict(repeated.best, repeated.baseline)
    interval = stats.ttest_rel(AFTER, BEFORE).confidence_interval(0.95)
    assert verdict.paired
    assert verdict.outcome == "real"
    assert verdict.half_width == pytest.approx((interval.high - interval.low) / 2, rel=1e-4)


def test_noise_is_pooled_over_the_settings_that_were_repeated(repeated: Comparison) -> None:
    assert repeated.noise is not None
    pooled = math.sqrt((np.var(BEFORE, ddof=1) + np.var(AFTER, ddof=1)) / 2)
    assert repeated.noise == (pytest.approx(pooled, rel=1e-5), 4)
    half = repeated.half_width_by_noise(repeated.best, repeated.baseline)
    assert half == pytest.approx(stats.t.ppf(0.975, 4) * pooled * math.sqrt(2 / 3), rel=1e-5)


def test_without_repeats_noise_is_unknown(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0.5)
    write_run(tmp_path / "b", 0.6, mask_mult=10)
    comparison = of(tmp_path)
    assert comparison.noise is None
    assert math.isnan(comparison.half_width_by_noise(comparison.best, comparison.baseline))
    assert comparison.verdict(comparison.best, comparison.baseline).outcome == "unknown"


def test_of_losses_and_times_the_least_is_best_and_the_unknown_last(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0.5, loss_mask=0.3)
    write_run(tmp_path / "b", 0.5, loss_mask=0.1, mask_mult=2)
    write_run(tmp_path / "c", 0.5, mask_mult=3, epochs=0)
    comparison = of(tmp_path, "loss/val_loss_mask")
    assert [group.name for group in comparison.groups] == ["b", "a", "c"]


def test_runs_without_settings_stay_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (write_run(tmp_path / name, 0.5) / ".hydra/config.yaml").unlink()
    assert len(of(tmp_path).groups) == 2
