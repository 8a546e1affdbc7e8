"""TensorBoard itself, over HTTP: its pages hold what a run recorded."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import pytest

from maskrcnn_exp.diagnose.sources import runs_under
from maskrcnn_exp.engine.pr_curves import ALL, THRESHOLDS, PrCurve
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.board_layout import VIEWS
from maskrcnn_exp.record.curve_files import write_pr_curves
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.picture_files import write_pictures
from maskrcnn_exp.record.run_columns import SETTINGS, list_run
from maskrcnn_exp.record.run_log import RunLog
from tests.record.board import Board

CONFIG = {"lr": {"base": None, "mask_mult": 10.0}, "clip": {"norm": 5.0}, "seed": 3, "trainer": {"epochs": 2}}


def curve(kind: Literal["segm"] = "segm", iou_percent: int = 50, name: str = "disc") -> PrCurve:
    """Four objects; two found with a score of 0.9, one with 0.5, and there one that is none."""
    true = np.where(THRESHOLDS <= 0.5, 3.0, np.where(THRESHOLDS <= 0.9, 2.0, 0.0))
    return PrCurve(kind, iou_percent, name, 4, true, (THRESHOLDS <= 0.5).astype(float))


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    folder = tmp_path_factory.mktemp("board")
    for number, mask_ap in enumerate((0.3, 0.6)):
        with RunLog.open(folder / f"run{number}") as log:
            for epoch in (1, 2):
                log.epoch(epoch, dict.fromkeys(tags.EPOCH_TAGS, 0.5) | {"mAP/segm_AP": mask_ap / epoch})
        for epoch in (1, 2, 2):  # the last one was trained again
            write_pictures(folder / f"run{number}", epoch, {"validation/7": np.full((20, 30, 3), 80, np.uint8)})
            write_pr_curves(folder / f"run{number}", epoch, [curve("segm", 50, ALL), curve("segm", 75, ALL), curve()])
        list_run(folder / f"run{number}", CONFIG, ["lr.mask_mult=10", f"run_dir={folder}", "model=tiny"])
    return Board(folder)


def test_the_custom_page_opens_on_the_views_and_every_plot_finds_its_curves(board: Board) -> None:
    layout = board.get("custom_scalars/layout")
    shown = {one["title"]: [chart["title"] for chart in one["chart"]] for one in layout["category"]}
    assert shown == {title: list(plots) for title, plots in VIEWS.items()}
    assert list(shown["losses"])[:3] == [
        "all five training losses and their total",
        "mask loss alone",
        "training total against validation",
    ]
    for category in layout["category"]:
        for chart in category["chart"]:
            for pattern in chart["multiline"]["tag"]:
                found = board.get(f"custom_scalars/scalars?run=run0&tag={quote(pattern)}")
                assert found["regex_valid"]
                assert [re.fullmatch(pattern, tag) is not None for tag in found["tag_to_events"]] == [True], pattern


def test_each_run_is_a_row_of_the_hparams_page(board: Board) -> None:
    rows = board.hparams()
    described = board.post("hparams/experiment", {"experimentName": "", "hparamsLimit": 0})
    assert [one["name"] for one in described["hparamInfos"]][:3] == ["lr.mask_mult", "clip.norm", "lr.base"]
    assert sorted(rows) == ["run0", "run1"]
    settings = rows["run1"]["hparams"]
    assert settings["lr.mask_mult"] == 10
    assert settings["lr.base"] == "null"
    assert not {"run_dir", "model"} & settings.keys()
    values = {one["name"]["tag"]: one["value"] for one in rows["run1"]["metricValues"]}
    assert values["mAP/segm_AP"] == pytest.approx(0.3)
    assert values["mAP/segm_AP@best"] == pytest.approx(0.6)
    assert values["loss/val_loss_mask"] == 0.5


def test_each_epoch_has_its_pictures_once_and_the_record_is_read_without_them(board: Board) -> None:
    assert board.get("images/tags")["run0/pictures"].keys() == {"validation/7"}
    shown = board.pictures("run0/pictures", "validation/7")
    assert {step: picture.size for step, picture in shown.items()} == {1: (30, 20), 2: (30, 20)}
    assert len(runs_under(board.folder)) == 2


def test_pr_curves_are_there_for_each_evaluation_once_and_the_record_is_read_without_them(board: Board) -> None:
    shown = board.get("pr_curves/tags")["run0/pr_curves/masks"]
    assert {tag: one["displayName"] for tag, one in shown.items()} == {
        tag: tag for tag in ("IoU50/all classes", "IoU75/all classes", "IoU50/disc")
    }
    assert "4 objects" in shown["IoU50/disc"]["description"]
    answer = board.get(f"pr_curves/pr_curves?run={quote('run0/pr_curves/masks')}&tag={quote('IoU50/disc')}")
    first, second = answer["run0/pr_curves/masks"]
    assert (first["step"], second["step"]) == (1, 2)
    # From 0.8 on two of two are right, from 0.5 on three of four. Above 0.9 there is nothing: TensorBoard cuts there.
    place = {round(threshold, 2): number for number, threshold in enumerate(second["thresholds"])}
    assert max(place) == 0.9
    counts = ("true_positives", "false_positives", "true_negatives", "false_negatives", "precision", "recall")
    assert [second[name][place[0.8]] for name in counts] == [2, 0, 0, 2, 1, 0.5]
    assert [second[name][place[0.5]] for name in counts] == [3, 1, 0, 1, 0.75, 0.75]
    assert len(runs_under(board.folder)) == 2
    assert [path.parent.name for path in History.read(board.folder / "run0").files] == ["run0"]


def test_settings_are_columns_that_a_configuration_has() -> None:
    from maskrcnn_exp.compose import compose

    tree: Any = compose([])
    for key in SETTINGS:
        node = tree
        for word in key.split("."):
            assert word in node, key
            node = node[word]
