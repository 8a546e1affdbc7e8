"""The record decides: which number of it is the objective, and what a study keeps of the rest."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.record.event_file import EventFile
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.tags import EPOCH_TAGS, EXTRA_TAGS, STEP_TAGS, falls
from maskrcnn_exp.sweep.objective import Metric, parse_metric, read_objective, summarize
from tests.sweep.records import record_curves

NAN = math.nan


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("mAP/segm_AP", Metric("mAP/segm_AP", "best", "maximize")),
        ("loss/val@last", Metric("loss/val", "last", "minimize")),
        ("time/epoch_s@sum", Metric("time/epoch_s", "sum", "minimize")),
        ("memory/peak_gib", Metric("memory/peak_gib", "best", "minimize")),
        ("mask/false_negative@mean", Metric("mask/false_negative", "mean", "minimize")),
        ("mask/accuracy", Metric("mask/accuracy", "best", "maximize")),
        ("step/loss_mask@mean", Metric("step/loss_mask", "mean", "minimize")),
        (" mAP/bbox_AP_maxdets100 ", Metric("mAP/bbox_AP_maxdets100", "best", "maximize")),
    ],
)
def test_metric_is_a_tag_with_a_point_and_the_direction_of_the_tag(text: str, metric: Metric) -> None:
    assert parse_metric(text) == metric
    assert parse_metric(str(metric)) == metric


def test_a_direction_that_is_given_counts() -> None:
    assert parse_metric("loss/val", "maximize").direction == "maximize"
    assert parse_metric("mAP/segm_AP", "minimize").direction == "minimize"


def test_every_tag_of_a_record_can_be_an_objective() -> None:
    for tag in (*EPOCH_TAGS, *EXTRA_TAGS, *STEP_TAGS):
        assert parse_metric(tag).tag == tag


def test_less_is_better_of_losses_seconds_memory_errors_and_wrong_pixels_only() -> None:
    falling = {tag for tag in (*EPOCH_TAGS, *EXTRA_TAGS, *STEP_TAGS) if falls(tag)}
    losses = {f"loss/{split}_{loss}" for split in ("train", "val") for loss in LOSSES}
    steps = {"step/total", *(f"step/{loss}" for loss in LOSSES)}
    clocks = {"time/data_s", "time/step_s", "time/eval_s", "time/epoch_s"}
    others = {"loss/train_total", "loss/val", "memory/peak_gib", "mask/false_positive", "mask/false_negative"}
    errors = {f"certain_errors/{kind}" for kind in ("background", "classification", "localisation")}
    assert falling == losses | steps | clocks | others | errors


def test_an_unknown_tag_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"no tag 'mAP/segm_ap'\. Did you mean mAP/segm_AP\?"):
        parse_metric("mAP/segm_ap@last")
    with pytest.raises(ConfigError, match=r"no tag 'wibble'\. Use one such as"):
        parse_metric("wibble")


def test_all_that_is_wrong_with_a_metric_comes_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_metric("loss/vall@first", "up")
    message = str(caught.value)
    for words in ("3 problems", "Did you mean loss/val?", "'first' is none of best, last, mean, sum", "direction=up"):
        assert words in message


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("mAP/segm_AP", 0.5),
        ("mAP/segm_AP@last", 0.25),
        ("mAP/segm_AP@mean", 0.3125),  # (0.1875 + 0.5 + 0.25) / 3
        ("time/epoch_s", 2.0),  # less is better
        ("time/epoch_s@sum", 9.0),
    ],
)
def test_objective_of_a_record(tmp_path: Path, metric: str, value: float) -> None:
    history = record_curves(tmp_path, {"mAP/segm_AP": [0.1875, None, 0.5, 0.25], "time/epoch_s": [2.0, 3.0, 4.0]})
    assert read_objective(history, parse_metric(metric)) == value


def test_direction_decides_which_point_is_the_best(tmp_path: Path) -> None:
    history = record_curves(tmp_path, {"mAP/segm_AP": [0.25, 0.5]})
    assert read_objective(history, parse_metric("mAP/segm_AP", "minimize")) == 0.25


@pytest.mark.parametrize("at", ["best", "last", "mean", "sum"])
def test_without_a_point_there_is_no_objective(tmp_path: Path, at: str) -> None:
    history = record_curves(tmp_path, {"loss/train_total": [1.0]})
    assert read_objective(history, parse_metric(f"mAP/segm_AP@{at}")) is None


def test_nan_is_never_the_best_but_spoils_last_mean_and_sum(tmp_path: Path) -> None:
    history = record_curves(tmp_path, {"loss/val": [NAN, 0.5, NAN], "loss/train_total": [NAN]})
    assert read_objective(history, parse_metric("loss/val")) == 0.5
    assert read_objective(history, parse_metric("loss/train_total")) is None
    for at in ("last", "mean", "sum"):
        value = read_objective(history, parse_metric(f"loss/val@{at}"))
        assert value is not None
        assert math.isnan(value)


def test_summary_tells_what_happened_to_each_loss(tmp_path: Path) -> None:
    history = record_curves(
        tmp_path,
        {
            "loss/train_total": [2.0, 1.5, 1.25, 1.0, 0.75],
            "loss/train_loss_mask": [0.75, 0.25, 0.5, 0.375, 0.3125],
            "share/loss_mask": [0.5, 0.375, 0.25, 0.25, 0.125],
            "loss/val_loss_mask": [0.5, None, 0.25],
            "loss/val": [2.0, 1.0],
            "grad_norm/mask": [1.0, 2.0, 3.0],
            "clip/mask": [0.5, 0.0],
            "update_ratio/mask": [0.25, 0.75],
            "mAP/segm_AP": [0.25, 0.5, 0.375],
        },
    )
    assert summarize(history) == {
        "epochs": 5,
        "losses": {
            "loss_mask": {
                "first": 0.75,
                "final": 0.3125,
                "best": 0.25,
                "share": 0.125,
                # Epochs 3, 4, 5: x = -1, 0, 1; slope = (0.3125 - 0.5) / 2.
                "trend": -0.09375,
            }
        },
        "val_losses": {"loss_mask": 0.25},
        "grad_norm": {"mask": 2.0},
        "clip": {"mask": 0.25},
        "update_ratio": {"mask": 0.5},
        "final": {"mAP/segm_AP": 0.375, "loss/val": 1.0},
    }


@pytest.mark.parametrize(("curve", "trend"), [([0.5], 0.0), ([0.5, 0.25], -0.25), ([9.0, 0.5, 0.75], 0.25)])
def test_trend_takes_two_points_at_least(tmp_path: Path, curve: list[float], trend: float) -> None:
    history = record_curves(tmp_path, {"loss/train_loss_mask": curve, "share/loss_mask": [0.5] * len(curve)})
    assert summarize(history)["losses"]["loss_mask"]["trend"] == pytest.approx(trend)


def test_summary_holds_no_nan_and_no_infinity(tmp_path: Path) -> None:
    """Databases take neither in JSON."""
    curves = {tag: [0.5, NAN, math.inf] for tag in EPOCH_TAGS}
    curves["loss/val_loss_box_reg"] = [NAN]
    summary = summarize(record_curves(tmp_path, curves))
    json.dumps(summary, allow_nan=False)
    assert set(summary["losses"]) == set(LOSSES)
    assert set(summary["val_losses"]) == set(LOSSES) - {"loss_box_reg"}
    assert set(summary["clip"]) == set(PARTS)
    assert summary["losses"]["loss_mask"]["final"] == 0.5


@pytest.mark.parametrize("module", ["objective", "health"])
def test_reading_a_record_takes_neither_torch_nor_optuna(module: str) -> None:
    code = f"import sys, maskrcnn_exp.sweep.{module}; sys.exit(bool({{'torch', 'optuna'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("at", ["best", "last", "mean", "sum"])
def test_nothing_to_find_is_no_value_in_another_programs_record(at: str, direction: str, tmp_path: Path) -> None:
    """RunLog leaves -1 out; torch's SummaryWriter does not."""
    events = EventFile.create(tmp_path)
    for step, (small, all_sizes) in enumerate([(-1, -1), (-1, 0.5), (-1, -1)], start=1):
        events.scalars({"mAP/segm_APs": small, "mAP/segm_AP": all_sizes}, step=step)
    events.close()
    history = History.read(tmp_path)
    assert read_objective(history, parse_metric(f"mAP/segm_APs@{at}", direction)) is None
    assert read_objective(history, parse_metric(f"mAP/segm_AP@{at}", direction)) == 0.5
