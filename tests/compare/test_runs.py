"""Runs are read with their settings, their curves and how they ended."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from maskrcnn_exp.compare.runs import MASK_AP, read_runs
from maskrcnn_exp.errors import DataError
from tests.compare.runs import write_run


def test_a_run_brings_settings_curves_times_and_its_first_verdict(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", 0.5, seed=7, mask_mult=10, verdict="mask head barely moves")
    (run,), skipped = read_runs([folder])
    assert run.name == "a"
    assert (run.seed, run.settings["lr.mask_mult"], run.epochs, run.state) == (7, 10, 3, "")
    assert "run_dir" not in run.settings  # it says nothing of how a run trains
    assert run.best(MASK_AP) == (2, pytest.approx(0.5))
    assert run.last(MASK_AP) == pytest.approx(0.49)
    assert run.best("loss/val_loss_mask") == (3, pytest.approx(0.2))  # of losses the least
    assert (run.seconds, run.step_seconds) == (pytest.approx(60), pytest.approx(0.5))
    assert run.verdict == "mask head barely moves"
    assert skipped == []


def test_names_leave_out_what_all_paths_share(tmp_path: Path) -> None:
    for name in ("one/x", "two/x"):
        write_run(tmp_path / name, 0.5)
    runs, _ = read_runs([tmp_path / "one/x", tmp_path / "two/x"])
    assert [run.name for run in runs] == ["one/x", "two/x"]


def test_a_run_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "study/0", 0.5)
    write_run(tmp_path / "study/1", 0.6)
    runs, _ = read_runs([folder, tmp_path / "study"])
    assert [run.name for run in runs] == ["0", "1"]


def test_a_run_that_stopped_early_or_diverged_says_so(tmp_path: Path) -> None:
    write_run(tmp_path / "early", 0.5, epochs=2, planned=5)
    box = write_run(tmp_path / "nan", 0.5, epochs=2, planned=5) / "black_box/step_120"
    box.mkdir(parents=True)
    report = {"step": 120, "epoch": 3, "cause": "loss_mask = nan", "pictures": [], "steps": []}
    (box / "report.json").write_text(json.dumps(report))
    (early, diverged), _ = read_runs([tmp_path])
    assert early.state == "2 of 5 epochs"
    assert diverged.state == "diverged in epoch 3: loss_mask = nan"


def test_half_a_verdict_file_or_a_broken_configuration_is_no_error(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", 0.5)
    (folder / "verdicts.json").write_text('{"verdicts": [')
    (folder / ".hydra/config.yaml").write_text("a: [")
    (run,), _ = read_runs([folder])
    assert (run.verdict, run.settings) == ("", {})


def test_a_trial_without_a_record_is_named_and_left_out_but_not_one_that_was_asked_for(tmp_path: Path) -> None:
    write_run(tmp_path / "0", 0.5)
    (tmp_path / "1").mkdir()
    (tmp_path / "1/events.out.tfevents.1.host").write_bytes(b"")
    runs, skipped = read_runs([tmp_path])
    assert [run.name for run in runs] == ["0"]
    assert "1" in skipped[0]
    with pytest.raises(DataError, match="1"):
        read_runs([tmp_path / "1"])


def test_a_log_of_another_program_has_curves_and_no_settings(tmp_path: Path) -> None:
    names = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask")
    lines = [",".join(("epoch", *names))] + [f"{epoch},{','.join(['0.5'] * 5)}" for epoch in (1, 2, 3)]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    (run,), _ = read_runs([tmp_path / "log.csv"])
    assert run.settings == {}
    assert run.last("loss/train_loss_mask") == 0.5
    assert math.isnan(run.last(MASK_AP))
