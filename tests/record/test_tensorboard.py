"""TensorBoard itself, over HTTP: its pages hold what a run recorded."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image
from tensorboard.program import TensorBoard

from maskrcnn_exp.diagnose.sources import runs_under
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.board_layout import VIEWS
from maskrcnn_exp.record.picture_files import write_pictures
from maskrcnn_exp.record.run_columns import SETTINGS, list_run
from maskrcnn_exp.record.run_log import RunLog

CONFIG = {"lr": {"base": None, "mask_mult": 10.0}, "clip": {"norm": 5.0}, "seed": 3, "trainer": {"epochs": 2}}


class Board:
    """A TensorBoard server on a folder, on a free port of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = TensorBoard()
        program.configure(argv=["tensorboard", "--logdir", str(folder), "--port", "0", "--load_fast", "false"])
        self._url = program.launch()

    def get(self, path: str) -> Any:
        return json.loads(self.bytes(path))

    def bytes(self, path: str) -> bytes:
        with urlopen(f"{self._url}data/plugin/{path}", timeout=60) as answer:
            content: bytes = answer.read()
            return content

    def post(self, path: str, body: object) -> Any:
        headers = {"Content-Type": "application/json"}
        request = Request(f"{self._url}data/plugin/{path}", json.dumps(body).encode(), headers)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    folder = tmp_path_factory.mktemp("board")
    for number, mask_ap in enumerate((0.3, 0.6)):
        with RunLog.open(folder / f"run{number}") as log:
            for epoch in (1, 2):
                log.epoch(epoch, dict.fromkeys(tags.EPOCH_TAGS, 0.5) | {"mAP/segm_AP": mask_ap / epoch})
        for epoch in (1, 2, 2):  # the last one was trained again
            write_pictures(folder / f"run{number}", epoch, {"validation/7": np.full((20, 30, 3), 80, np.uint8)})
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
    asked = {"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "startIndex": 0, "sliceSize": 9}
    answer = board.post("hparams/session_groups", {**asked, "aggregationType": "AGGREGATION_AVG"})
    rows = {group["name"]: group for group in answer["sessionGroups"]}
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
    shown = board.get(f"images/images?run={quote('run0/pictures')}&tag={quote('validation/7')}&sample=0")
    assert [one["step"] for one in shown] == [1, 2]
    with Image.open(io.BytesIO(board.bytes(f"images/individualImage?{shown[1]['query']}"))) as picture:
        assert picture.size == (30, 20)
    assert len(runs_under(board.folder)) == 2


def test_settings_are_columns_that_a_configuration_has() -> None:
    from maskrcnn_exp.compose import compose

    tree: Any = compose([])
    for key in SETTINGS:
        node = tree
        for word in key.split("."):
            assert word in node, key
            node = node[word]
