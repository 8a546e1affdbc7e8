"""The committed curves: what is written comes back, the same runs give the same bytes, no path of a machine is kept."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from benchmarks.doctor.runs_file import Run, read_runs, write_runs
from maskrcnn_exp.diagnose.curves import Crash
from maskrcnn_exp.diagnose.diagnosis import diagnose
from tests.diagnose.recorded import recorded_points


def real_run(case: str = "mask_lr_low", seed: int = 0, record: str = "shapes_mult_0.02") -> Run:
    epochs, steps, facts = recorded_points(record)
    return Run("shapes", case, seed, facts, epochs, steps)


def test_a_run_comes_back_with_the_same_diagnosis(tmp_path: Path) -> None:
    run = real_run()
    write_runs("shapes", [run], tmp_path)
    (back,) = read_runs("shapes", tmp_path)
    assert back.facts == run.facts
    assert back.key == run.key
    assert diagnose(back.curves()).to_json() == diagnose(run.curves()).to_json()


def test_the_order_in_which_runs_are_recorded_does_not_show(tmp_path: Path) -> None:
    runs = [real_run(seed=1), real_run(), real_run("default", 0, "shapes_mult_1")]
    write_runs("one", runs, tmp_path)
    write_runs("other", reversed(runs), tmp_path)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "other.jsonl.gz").read_bytes()
    assert [run.key[1:] for run in read_runs("one", tmp_path)] == [
        ("default", 0),
        ("mask_lr_low", 0),
        ("mask_lr_low", 1),
    ]


def test_a_file_that_is_not_there_holds_no_runs(tmp_path: Path) -> None:
    assert read_runs("nuclei", tmp_path) == []


def test_the_folder_of_the_data_is_not_kept(tmp_path: Path) -> None:
    run = real_run()
    facts = replace(run.facts, overrides=("dataset.root=/home/someone/data", "seed=0"))
    write_runs("shapes", [replace(run, facts=facts)], tmp_path)
    assert read_runs("shapes", tmp_path)[0].facts.overrides == ("dataset.root=DATA", "seed=0")


def test_a_black_box_and_what_is_not_finite_come_back(tmp_path: Path) -> None:
    step = {"losses": {"loss_mask": math.inf}, "grad_norm": {"mask": math.nan}, "lr": {"mask": 1.0}}
    crash = Crash(Path("/tmp/run/black_box/step_00000090"), 90, 4, "loss_mask = inf", (7, 8), (step,))
    run = replace(real_run(), crash=crash)
    run.epochs["loss/train_loss_mask"][3] = math.nan
    write_runs("shapes", [run], tmp_path)
    (back,) = read_runs("shapes", tmp_path)
    assert back.crash is not None
    assert (back.crash.folder, back.crash.step, back.crash.image_ids) == (Path("step_00000090"), 90, (7, 8))
    assert back.crash.steps[0]["losses"]["loss_mask"] == math.inf
    assert math.isnan(back.epochs["loss/train_loss_mask"][3])


def test_a_prefix_holds_what_was_known_after_that_epoch_and_no_more() -> None:
    curves = real_run().curves(until=2)
    assert curves.at.tolist() == [1, 2]
    assert curves.facts.epochs == 6
    (steps, _) = curves.steps["step/total"]
    assert steps.max() == 100  # of 50 a epoch


def test_a_black_box_is_not_known_before_its_epoch() -> None:
    crash = Crash(Path("step_00000290"), 290, 6, "loss_mask = nan", (), ())
    run = replace(real_run(), crash=crash)
    assert run.curves(until=5).crash is None
    assert run.curves(until=6).crash == crash
