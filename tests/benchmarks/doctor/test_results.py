"""RESULTS.md: what was measured, and what was not."""

from __future__ import annotations

from pathlib import Path

from benchmarks.doctor.peers import FILE
from benchmarks.doctor.results import document
from benchmarks.doctor.runs_file import write_runs
from tests.benchmarks.doctor.test_runs_file import real_run


def test_tuned_and_reported_runs_stand_apart_and_absent_ones_are_named(tmp_path: Path) -> None:
    healthy = real_run("default", 2, "shapes_mult_1")
    write_runs("shapes", [real_run(), healthy, real_run(seed=2)], tmp_path)
    text = document(tmp_path)
    report, tuned = text.split("## Tuned on")
    assert "## Report: shapes 2 (2 runs)" in report
    assert "not recorded yet of shapes 2: sgd," in report
    assert tuned.startswith(": shapes 0 (1 runs)")
    assert "| mask_lr_low | 0.591 → 0.315 | 1 |" in tuned  # seed 2 alone has its healthy run
    assert "other log doctors" not in text.lower()


def test_the_other_doctors_words_are_taken_from_their_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("| theirs |\n")
    assert document(tmp_path).endswith("| theirs |\n")
