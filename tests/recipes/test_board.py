"""What a real training leaves on TensorBoard's pages, asked over TensorBoard's own HTTP interface."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from maskrcnn_exp.engine import suspects
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.recipes.train import run
from maskrcnn_exp.record import tags
from tests.recipes.conftest import settings_for
from tests.record.board import Board

WORDS = ("lr.mask_mult=0.001", "trainer.preview_pictures=2", "schedule.warmup_steps=0", "trainer.epochs=3")


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """One training with a mask head that hardly learns, and limits at which one of six pictures is a suspect."""
    folder = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_TRAINED": 0.0, "LEAST_PICTURES": 3, "LIMIT": 0.1, "LEAST_RATIO": 1.0}.items():
            patch.setattr(suspects, name, value)
        run(*settings_for(folder / "run", *WORDS))
    return Board(folder)


def test_scalars_hold_what_the_custom_page_asks_for(board: Board) -> None:
    shown = board.get("scalars/tags")["run"]
    asked = [tags.TRAIN_TOTAL, tags.VAL_TOTAL, tags.map_tag("segm", "AP"), tags.map_tag("bbox", "AP")]
    asked += [make(loss) for loss in LOSSES for make in (tags.train_loss_tag, tags.val_loss_tag, tags.share_tag)]
    asked += [make(part) for part in PARTS for make in (tags.grad_norm_tag, tags.update_ratio_tag, tags.clip_tag)]
    assert not set(asked) - shown.keys()


def test_texts_hold_configuration_verdicts_groups_and_suspects(board: Board) -> None:
    config = board.texts("run", "config")[0]
    assert "mask_mult: 0.001" in config
    groups = board.texts("run", "groups")[0]
    assert all(f"{part}/decay" in groups for part in PARTS)
    assert "total" in groups
    verdicts = board.texts("run", "diagnosis")
    assert "lr.mask_mult=" in verdicts[max(verdicts)]
    assert "the mask head" in verdicts[max(verdicts)].lower()
    assert "loss_mask" in board.texts("run", "suspects")[3]


def test_pictures_hold_the_same_two_after_each_evaluation_and_the_suspects(board: Board) -> None:
    shown = board.get("images/tags")
    assert len(shown["run/pictures"]) == 2
    for tag in shown["run/pictures"]:
        assert list(board.pictures("run/pictures", tag)) == [1, 2, 3]
    assert list(board.pictures("run", "suspects/worst")) == [3]


def test_the_runs_row_holds_what_was_typed_and_what_came_out(board: Board) -> None:
    (row,) = board.hparams().values()
    assert row["hparams"]["lr.mask_mult"] == 0.001
    assert row["hparams"]["trainer.preview_pictures"] == 2  # no column of every run: it was typed
    values = {one["name"]["tag"] for one in row["metricValues"]}
    assert {"mAP/segm_AP", "mAP/bbox_AP", "mAP/segm_AP@best", "loss/val", "loss/val_loss_mask"} <= values


def test_pr_curves_of_boxes_and_masks_share_their_charts_and_have_a_point_in_each_epoch(board: Board) -> None:
    shown = board.get("pr_curves/tags")
    assert shown.keys() == {"run/pr_curves/boxes", "run/pr_curves/masks"}
    assert shown["run/pr_curves/boxes"].keys() == shown["run/pr_curves/masks"].keys()
    assert {"IoU50/all classes", "IoU75/all classes"} < shown["run/pr_curves/masks"].keys()
    for tag in map(quote, shown["run/pr_curves/masks"]):
        runs = "&".join(f"run={run}" for run in shown)
        for curves in board.get(f"pr_curves/pr_curves?{runs}&tag={tag}").values():
            assert [one["step"] for one in curves] == [1, 2, 3]
