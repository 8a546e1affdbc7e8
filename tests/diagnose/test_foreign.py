"""Logs of other programs: the same five losses under other names, on other axes."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.foreign_names import tags_of
from maskrcnn_exp.diagnose.sources import curves_at, runs_under
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.event_file import EventFile

TORCHVISION = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask")
DETECTRON2 = ("loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg", "loss_mask")
MMDETECTION = ("loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox", "loss_mask")
START = (0.5, 0.2, 0.9, 0.4, 0.55)


def losses(names: tuple[str, ...], done: float) -> dict[str, float]:
    """Every loss falls to a tenth over the run, and loss_mask to 96 %: the document's third problem."""
    falls = (0.1, 0.1, 0.1, 0.1, 0.96)
    return {name: start * fall**done for name, start, fall in zip(names, START, falls, strict=True)}


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("loss_rpn_cls", "loss/train_loss_objectness"),
        ("train/loss_rpn_loc", "loss/train_loss_rpn_box_reg"),
        ("Train Loss/loss_bbox", "loss/train_loss_box_reg"),
        ("val/loss_cls", "loss/val_loss_classifier"),
        ("loss/val_loss_mask", "loss/val_loss_mask"),
        ("val_loss_mask", "loss/val_loss_mask"),
        ("my-run - train/loss_mask", "loss/train_loss_mask"),
        ("total_loss", "loss/train_total"),
        ("loss", "loss/train_total"),
        ("val_loss", "loss/val"),
        ("bbox/AP", "mAP/bbox_AP"),
        ("segm/AP75", "mAP/segm_AP75"),
        ("coco/segm_mAP_50", "mAP/segm_AP50"),
        ("val/bbox_mAP", "mAP/bbox_AP"),
        ("mAP/segm_AP", "mAP/segm_AP"),
        ("mask_rcnn/false_negative", "mask/false_negative"),
        ("data_time", "time/data_s"),
    ],
)
def test_names_of_other_programs_are_known(name: str, tag: str) -> None:
    assert tag in tags_of(name)


@pytest.mark.parametrize("name", ["acc", "eta_seconds", "bbox/AP-person", "loss_semantic", "momentum", "bbox/AR"])
def test_other_names_mean_nothing(name: str) -> None:
    assert tags_of(name) == ()


def named_bad(path: Path) -> None:
    """The mask head is found to be left behind, whatever the log looked like."""
    diagnosis = diagnose(curves_at(path))
    first = diagnosis.first
    assert first is not None
    assert (first.rule, first.part, first.severity) == ("boxes_good_masks_bad", "mask", "severe")
    assert first.prescription is not None
    assert float(first.prescription.words[0].removeprefix("lr.mask_mult=")) >= 2


@pytest.mark.parametrize("names", [TORCHVISION, DETECTRON2, MMDETECTION])
def test_a_csv_file_with_a_row_per_epoch(names: tuple[str, ...], tmp_path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *names])
    writer.writeheader()
    for epoch in range(1, 13):
        writer.writerow({"epoch": epoch, **losses(names, epoch / 12)})
    (tmp_path / "metrics.csv").write_text(text.getvalue())
    named_bad(tmp_path / "metrics.csv")
    assert curves_at(tmp_path).unit == "epoch"  # the folder finds it too


def test_a_tensorboard_folder_with_other_names(tmp_path: Path) -> None:
    events = EventFile.create(tmp_path)
    for step in range(1, 401):
        events.scalars({f"train/{name}": value for name, value in losses(MMDETECTION, step / 400).items()}, step)
    events.close()
    named_bad(tmp_path)


def test_detectron2s_lines_of_json_with_percent_and_evaluations_between(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    for step in range(19, 4000, 20):
        total = sum(losses(DETECTRON2, step / 4000).values())
        rows.append(
            {"iteration": step, "total_loss": total, "lr": 0.02, "time": 0.3, **losses(DETECTRON2, step / 4000)}
        )
        if (step + 1) % 400 == 0:
            rows.append({"iteration": step, "bbox/AP": 40 * step / 4000, "segm/AP": 20 * step / 4000})
    (tmp_path / "metrics.json").write_text("\n".join(map(json.dumps, rows)) + '\n{"iteration": 40')
    curves = curves_at(tmp_path)
    assert len(curves) == 10  # a window ends where an evaluation stands
    assert curves.ap("bbox")[-1] == pytest.approx(0.4, abs=0.01)
    assert curves.unit == "step"
    first = diagnose(curves).first
    assert first is not None
    assert (first.rule, first.severity) == ("high_loss_low_ap", "severe")  # masks at half of the boxes


def test_mmdetection_2_counts_iterations_within_an_epoch_and_evaluations_by_mode(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"env_info": "none", "config": "x"}]
    for epoch in range(1, 13):
        for step in (50, 100):
            done = (epoch - 1) / 12 + step / 1200
            rows.append({"mode": "train", "epoch": epoch, "iter": step, "lr": 0.02, **losses(MMDETECTION, done)})
        rows.append({"mode": "val", "epoch": epoch, "iter": 30, "bbox_mAP": 0.03 * epoch, "segm_mAP": 0.01 * epoch})
    path = tmp_path / "20260101.log.json"
    path.write_text("\n".join(map(json.dumps, rows)))
    curves = curves_at(path)
    assert len(curves) == 24
    assert curves.at[-1] == 1200
    assert curves.ap("bbox")[-1] == pytest.approx(0.36)


def test_mmdetection_3_writes_evaluations_by_epoch_beside_steps(tmp_path: Path) -> None:
    events = EventFile.create(tmp_path)
    for step in range(50, 6001, 50):
        events.scalars(losses(MMDETECTION, step / 6000), step)
    for epoch in range(1, 13):
        events.scalars({"coco/bbox_mAP": 0.03 * epoch, "coco/segm_mAP": 0.02 * epoch}, epoch)
    events.close()
    ap = curves_at(tmp_path).ap("bbox")
    assert np.isfinite(ap).sum() == 12
    assert ap[-1] == pytest.approx(0.36)
    assert math.isnan(ap[0])  # epoch 1 ends at step 500


def test_lines_of_text_as_detectron2_and_mmdetection_print_them(tmp_path: Path) -> None:
    lines = []
    for step in range(19, 2400, 20):
        pairs = "  ".join(f"{name}: {value:.4f}" for name, value in losses(DETECTRON2, step / 2400).items())
        lines.append(
            f"[08/14 10:55:40 d2.utils.events]:  eta: 0:15:25  iter: {step}  total_loss: 1.0  {pairs}  lr: 0.02"
        )
    (tmp_path / "log.txt").write_text("\n".join(lines))
    named_bad(tmp_path / "log.txt")
    lines = []
    for epoch in range(1, 13):
        pairs = ", ".join(f"{name}: {value:.4f}" for name, value in losses(MMDETECTION, epoch / 12).items())
        lines.append(
            f"2026-05-21 - mmdet - INFO - Epoch [{epoch}][100/100]\tlr: 0.02, memory: 9581, {pairs}, loss: 3.01"
        )
    (tmp_path / "mm.txt").write_text("\n".join(lines))
    named_bad(tmp_path / "mm.txt")


def test_our_own_console_text(tmp_path: Path) -> None:
    blocks = []
    for epoch in range(1, 13):
        pairs = "\n".join(f"   {name}: {value:.4f}" for name, value in losses(TORCHVISION, epoch / 12).items())
        blocks.append(f"Epoch {epoch}/12\n📊 Training Losses:\n   Total: 1.0\n{pairs}\n📈 Validation Loss: 0.91")
    blocks[-1] += "\n📦 Box mAP: 0.6543 (AP50: 0.8901)\n🎭 Mask mAP: 0.2134 (AP50: 0.4567)"
    (tmp_path / "console.txt").write_text("\n".join(blocks))
    curves = curves_at(tmp_path / "console.txt")
    assert curves.train("loss_mask")[-1] == pytest.approx(0.55 * 0.96, abs=1e-4)
    assert curves["loss/val"][0] == pytest.approx(0.91)
    assert (curves.ap("bbox")[-1], curves.ap("segm", "AP50")[-1]) == (0.6543, 0.4567)


def test_a_log_without_the_five_says_what_is_missing_and_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,loss_cls,loss_dfl,loss_mask\n1,0.5,0.5,0.4\n2,0.4,0.4,0.3\n")
    with pytest.raises(DataError) as caught:
        curves_at(tmp_path)
    message = str(caught.value)
    assert "3 of the five losses are not there: loss_objectness (also loss_rpn_cls)" in message
    assert "Found: loss_cls, loss_dfl, loss_mask." in message


def test_a_nan_in_another_programs_log_is_the_answer(tmp_path: Path) -> None:
    rows = [{"iteration": step, **losses(DETECTRON2, step / 4000)} for step in range(0, 4000, 20)]
    rows[150]["loss_mask"] = math.nan
    (tmp_path / "metrics.json").write_text("\n".join(map(json.dumps, rows)))
    first = diagnose(curves_at(tmp_path)).first
    assert first is not None
    assert (first.rule, first.part) == ("not_finite", "mask")
    assert 3000 <= first.since <= 3200


def test_starts_of_one_work_dir_are_runs_in_their_order(tmp_path: Path) -> None:
    for name in ("10", "9", "2"):
        folder = tmp_path / name / "vis_data"
        folder.mkdir(parents=True)
        (folder / "scalars.json").write_text("{}")
    assert [path.parent.name for path in runs_under(tmp_path)] == ["2", "9", "10"]


def test_a_path_without_a_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no record in this folder or below it"):
        runs_under(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        runs_under(tmp_path / "absent")
