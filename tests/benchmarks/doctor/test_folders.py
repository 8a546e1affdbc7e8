"""Data sets as folders: corrupted copies share the pictures, and are the same whenever they are made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.doctor.corruptions import Coco
from benchmarks.doctor.faults import CASES
from benchmarks.doctor.folders import NUCLEI, folder_for
from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.data.shapes import ShapesDataset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def annotations(folder: Path, split: str) -> Coco:
    content: Coco = json.loads((folder / f"annotations/instances_{split}.json").read_text())
    return content


def test_drawn_pictures_come_back_from_the_folder_as_they_were_drawn(root: Path) -> None:
    folder = folder_for(CASES["default"], "shapes", 0, root)
    read = CocoDataset.open(folder / "annotations/instances_train.json", folder / "images").load(7)
    drawn = ShapesDataset(0, 0, 120, image_size=96, min_radius=0.12).load(7)
    assert read.image.equal(drawn.image)
    assert read.target["masks"].equal(drawn.target["masks"])
    assert read.target["labels"].equal(drawn.target["labels"])


def test_a_fault_of_the_training_split_leaves_validation_as_it_is(root: Path) -> None:
    plain, wrong = (folder_for(CASES[name], "shapes", 0, root) for name in ("default", "labels_shuffled"))
    assert annotations(wrong, "val") == annotations(plain, "val")
    assert annotations(wrong, "train") != annotations(plain, "train")
    assert (wrong / "images").resolve() == (plain / "images").resolve()


def test_a_fault_of_both_splits_is_in_both(root: Path) -> None:
    plain, wrong = (folder_for(CASES[name], "shapes", 0, root) for name in ("default", "half_unannotated"))
    for split in ("train", "val"):
        assert len(annotations(wrong, split)["annotations"]) < len(annotations(plain, split)["annotations"])


def test_a_tiny_training_set_has_eight_pictures_and_the_whole_validation(root: Path) -> None:
    folder = folder_for(CASES["tiny_training_set"], "shapes", 0, root)
    kept = annotations(folder, "train")
    assert len(kept["images"]) == 8
    assert {entry["image_id"] for entry in kept["annotations"]} == {image["id"] for image in kept["images"]}
    assert len(annotations(folder, "val")["images"]) == 40


def test_the_same_seed_gives_the_same_corruption_and_another_seed_other_pictures(root: Path, tmp_path: Path) -> None:
    case = CASES["labels_shuffled"]
    again = folder_for(case, "shapes", 0, tmp_path)
    assert annotations(again, "train") == annotations(folder_for(case, "shapes", 0, root), "train")
    other = folder_for(CASES["default"], "shapes", 1, tmp_path)
    assert annotations(other, "train") != annotations(folder_for(CASES["default"], "shapes", 0, root), "train")


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="needs ../shared/data/nuclei")
def test_nuclei_are_small_pictures_of_the_right_split(tmp_path: Path) -> None:
    folder = folder_for(CASES["masks_stamps"], "nuclei", 0, tmp_path)
    for split, count in (("train", 60), ("val", 16)):
        chosen, of = annotations(folder, split), annotations(NUCLEI, split)
        assert len(chosen["images"]) == count
        assert {image["id"] for image in chosen["images"]} <= {image["id"] for image in of["images"]}
        assert all(max(image["width"], image["height"]) <= 256 for image in chosen["images"])
