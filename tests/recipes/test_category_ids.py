"""String ids in an annotation file change no number of a training or an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.engine.checkpoint import read_checkpoint
from maskrcnn_exp.recipes.evaluate import run_words as evaluate
from maskrcnn_exp.recipes.train import RunSettings, run
from tests.data.coco_files import annotation, image, write_coco
from tests.recipes.conftest import SMALL
from tests.recipes.records import assert_same_record

Id = int | str
SHORT = (*(word for word in SMALL if not word.startswith("dataset.")), "trainer.epochs=1", "model.min_size=[32]")
TRIANGLE = [[11, 1, 19, 1, 19, 9]]


def written(folder: Path, square: Id, triangle: Id) -> Path:
    """Eight pictures with a square and a triangle each."""
    folder.mkdir()
    annotations = [annotation(2 * number, number, category_id=square) for number in range(8)]
    annotations += [
        annotation(2 * number + 1, number, category_id=triangle, segmentation=TRIANGLE, bbox=[11, 1, 8, 8], area=32)
        for number in range(8)
    ]
    categories = [{"id": square, "name": "square"}, {"id": triangle, "name": "triangle"}]
    return write_coco(folder, [image(number) for number in range(8)], annotations, categories=categories)


def trained(folder: Path, annotations: Path) -> Path:
    """Train on these pictures, validate on the same ones, return the checkpoint."""
    from omegaconf import OmegaConf

    split = (f"images={annotations.parent}", f"annotations={annotations}")
    data = ["dataset=coco", *(f"dataset.{name}.{word}" for name in ("train", "val") for word in split)]
    words = (*data, *SHORT)
    composed = compose([*words, f"run_dir={folder}"])
    folder.mkdir()
    run(to_train_config(composed), RunSettings(folder, OmegaConf.to_yaml(composed, resolve=True), words))
    return folder / "checkpoints/last.pt"


def test_string_category_ids_give_the_run_of_whole_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = trained(tmp_path / "run_numbers", written(tmp_path / "numbers", 1, 2))
    strings = trained(tmp_path / "run_strings", written(tmp_path / "strings", "a-square", "b-triangle"))
    assert_same_record(numbers.parents[1], strings.parents[1])
    assert read_checkpoint(numbers).categories == [[1, "square"], [2, "triangle"]]
    assert read_checkpoint(strings).categories == [["a-square", "square"], ["b-triangle", "triangle"]]
    trained_text = capsys.readouterr().out
    evaluate([f"checkpoint={strings}"])
    shown = next(line for line in trained_text.splitlines() if "Validation Loss" in line)
    assert shown in capsys.readouterr().out
