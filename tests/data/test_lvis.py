"""LVIS files are read as they are: names from `coco_url`, in the pictures' folder or that of all of COCO."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maskrcnn_exp.data.build import open_datasets
from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.data.coco_json import name_in_url
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.schema import CocoConfig
from tests.data.coco_files import annotation, image, write_picture

URL = "http://images.cocodataset.org"


def lvis(path: Path, *names: str, **changes: Any) -> Path:
    """A file with a picture per name, as `train2017/1.png`."""
    images = []
    for number, name in enumerate(names, start=1):
        entry = {**image(number), "coco_url": f"{URL}/{name}", "neg_category_ids": [2], **changes}
        del entry["file_name"]
        images.append({**entry, "not_exhaustive_category_ids": [1] if number == 1 else []})
    annotations = [annotation(number, number) for number in range(1, len(names) + 1)]
    for entry in annotations:
        del entry["iscrowd"]
    categories = [{"id": 1, "name": "ape", "frequency": "r", "synset": "ape.n.01", "synonyms": ["ape"]}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_pictures_are_found_below_cocos_folder_and_in_one_folder(tmp_path: Path) -> None:
    path = lvis(tmp_path / "lvis.json", "train2017/1.png", "val2017/2.png")
    write_picture(tmp_path / "coco/train2017/1.png")
    write_picture(tmp_path / "coco/val2017/2.png")
    write_picture(tmp_path / "flat/1.png")
    write_picture(tmp_path / "flat/2.png")
    for folder, names in (("coco", ["train2017/1.png", "val2017/2.png"]), ("flat", ["1.png", "2.png"])):
        data = CocoDataset.open(path, tmp_path / folder)
        assert [entry["file_name"] for entry in data.ground_truth()["images"]] == names
        assert data.load(1).target["masks"].sum() == 24


def test_a_note_says_that_not_every_object_is_annotated(tmp_path: Path) -> None:
    write_picture(tmp_path / "train2017/1.png")
    notes = CocoDataset.open(lvis(tmp_path / "lvis.json", "train2017/1.png"), tmp_path).summary().notes
    assert notes[0].startswith("LVIS: 1 pictures name classes of which not every object is annotated.")


def test_the_usual_layout_is_found(tmp_path: Path) -> None:
    for name in ("train2017/1.png", "val2017/2.png"):
        write_picture(tmp_path / name)
    lvis(tmp_path / "annotations/lvis_v1_train.json", "train2017/1.png")
    lvis(tmp_path / "annotations/lvis_v1_val.json", "val2017/2.png")
    train, val = open_datasets(CocoConfig(root=str(tmp_path)))
    assert (len(train), len(val)) == (1, 1)


def test_a_url_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    path = lvis(tmp_path / "set/lvis.json", "../1.png")
    with pytest.raises(DataError, match="leads out of the folder"):
        CocoDataset.open(path, tmp_path / "set")


def test_the_name_in_a_url() -> None:
    assert name_in_url(f"{URL}/train2017/000000391895.jpg") == "train2017/000000391895.jpg"
    assert name_in_url(f"{URL}/a.jpg?size=3") == "a.jpg"
    assert name_in_url("no address") == ""
