"""A run's folder, as the diagnosis reads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.sources import curves_at, runs_under
from maskrcnn_exp.record.run_log import RunLog
from tests.diagnose.recorded import recorded, write_run


def test_a_folder_gives_the_curves_and_the_configuration(tmp_path: Path) -> None:
    curves, expected = curves_at(write_run("shapes_mult_0.02", tmp_path / "run")), recorded("shapes_mult_0.02")
    np.testing.assert_allclose(curves.train("loss_mask"), expected.train("loss_mask"), rtol=1e-6)
    np.testing.assert_allclose(curves.part_norms("mask"), expected.part_norms("mask"), rtol=1e-6)
    assert curves.facts == expected.facts
    assert [one.key for one in diagnose(curves).verdicts] == [one.key for one in diagnose(expected).verdicts]


def test_a_study_is_its_trials_in_their_order(tmp_path: Path) -> None:
    for trial in ("0", "2", "10"):
        write_run("shapes_mult_1", tmp_path / trial)
    assert [path.name for path in runs_under(tmp_path)] == ["0", "2", "10"]


def test_numbers_that_others_write_into_the_record_are_no_epochs(tmp_path: Path) -> None:
    """A study adds its own scalars at step 0."""
    from maskrcnn_exp.record.event_file import EventFile

    folder = write_run("shapes_mult_1", tmp_path / "run")
    events = EventFile.create(folder)
    events.scalars({"hp/objective": 0.5}, 0)
    events.close()
    assert curves_at(folder).at.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("logged_steps", [0, 2])
def test_a_run_that_ended_before_its_first_epoch_is_judged_by_its_black_box(logged_steps: int, tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        for step in range(1, logged_steps + 1):
            log.step(step, {"step/loss_mask": 0.7, "step/total": 2.0})
    (tmp_path / "environment.json").write_text("{}")
    write_black_box(tmp_path, step=3, epoch=1)
    first = diagnose(curves_at(tmp_path)).first
    assert first is not None
    assert (first.rule, first.part, first.since) == ("not_finite", "mask", 1)


@pytest.mark.parametrize(("epoch", "counts"), [(6, False), (7, True)])
def test_a_black_box_of_an_epoch_that_was_got_over_counts_no_more(epoch: int, counts: bool, tmp_path: Path) -> None:
    folder = write_run("shapes_mult_1", tmp_path / "run")
    write_black_box(folder, step=50 * epoch, epoch=epoch)
    assert (curves_at(folder).crash is not None) == counts


def test_the_configuration_of_another_program_is_not_taken_for_ours(tmp_path: Path) -> None:
    """Many use Hydra; their `model: resnet` must not be read."""
    folder = write_run("shapes_mult_1", tmp_path / "run")
    (folder / ".hydra/config.yaml").write_text("model: resnet\nlr: 0.1\n")
    facts = curves_at(folder).facts
    assert not facts.own
    assert facts.overrides == ("lr.mask_mult=1.0", "trainer.epochs=6", "seed=0")


def write_black_box(folder: Path, step: int, epoch: int) -> None:
    norms = {"backbone": 1.0, "fpn": 1.0, "rpn": 1.0, "box": 1.0, "mask": "nan"}
    report = {
        "step": step,
        "epoch": epoch,
        "cause": "loss_mask = nan",
        "pictures": [{"image_id": 7}],
        "steps": [{"grad_norm": norms}],
    }
    box = folder / f"black_box/step_{step:07d}"
    box.mkdir(parents=True)
    (box / "report.json").write_text(json.dumps(report))
