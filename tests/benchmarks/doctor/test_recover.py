"""How much of the lost mask AP a prescription brings back, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.doctor.recover import Recovery, prescribed_words, recoveries, recovery_table
from benchmarks.doctor.runs_file import Run, write_runs
from tests.benchmarks.doctor.test_runs_file import real_run


def with_ap(run: Run, *aps: float) -> Run:
    return replace(run, epochs={**run.epochs, "mAP/segm_AP": dict(enumerate(aps, start=1))})


HEALTHY = with_ap(real_run("default", 0, "shapes_mult_1"), 0.2, 0.5, 0.4)
FAULTY = with_ap(real_run(), 0.1, 0.1)
MENDED = replace(with_ap(real_run(), 0.3, 0.4), prescribed=("lr.mask_mult=3.8",))


def test_the_share_is_of_the_mask_ap_between_faulty_and_healthy() -> None:
    recovery = Recovery(FAULTY, HEALTHY, ("lr.mask_mult=3.8",), MENDED)
    assert recovery.lost == pytest.approx(0.4)  # best of each: 0.5 - 0.1
    assert recovery.share == pytest.approx(0.75)  # (0.4 - 0.1) / 0.4


def test_nothing_prescribed_brings_nothing_back_and_counts() -> None:
    recovery = Recovery(FAULTY, HEALTHY, (), None)
    assert recovery.share == 0
    assert "came back in 0 of 1 runs (0%)" in recovery_table([recovery])


def test_a_loss_within_noise_is_not_counted() -> None:
    recovery = Recovery(with_ap(FAULTY, 0.49), HEALTHY, ("lr.mask_mult=3.8",), MENDED)
    assert "within noise" in recovery_table([recovery])
    assert "0 of 0 runs" in recovery_table([recovery])


def test_words_are_those_of_the_first_verdict() -> None:
    assert prescribed_words(real_run()) == ("lr.mask_mult=3.8",)
    assert prescribed_words(real_run("default", 0, "shapes_mult_1")) == ()


def test_a_mended_run_counts_while_its_words_are_still_prescribed(tmp_path: Path) -> None:
    write_runs("shapes", [HEALTHY, real_run()], tmp_path)
    write_runs("shapes_mended", [MENDED], tmp_path)
    (current,) = recoveries("shapes", tmp_path)
    assert current.mended is not None
    write_runs("shapes_mended", [replace(MENDED, prescribed=("lr.mask_mult=50",))], tmp_path)
    (outdated,) = recoveries("shapes", tmp_path)
    assert outdated.mended is None
