"""Repaired files: without errors, read by training with the same pictures, and every change is named."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.audit.clip import clip_polygon, ordered_outline
from maskrcnn_exp.data.audit.repairs import Repairs
from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.errors import DataError
from tests.data.audit.audits import audit, checks, good, polygon, repaired
from tests.data.coco_files import annotation, image, write_coco

_NAN = float("nan")
_VALUES: tuple[Any, ...] = (
    *(None, "", [], {}, "x", -1, 0, 1.5, "1", _NAN, 1e400, 99),
    *([1, 2], [[1, 2, 3]], [0, 0, 0, 0], [1, 1, 5, 5], [1, 1, 5, 1, 5, 5]),
    *([[-3, -3, 9, -3, 9, 9]], [[50, 50, 60, 50, 60, 60]], [[1, 1, 5, 1, 5, 5], [1, 1]]),
    *({"counts": "abc", "size": [10, 20]}, {"counts": [10, 5, 185], "size": [10, 20]}),
)
"""What is put in the place of sound values: some of it fits, most of it does not."""


def damaged(rng: random.Random) -> dict[str, Any]:
    """A small sound file with one to four faults."""
    images: list[Any] = [image(number) for number in range(1, 6)]
    entries: list[Any] = []
    for number in range(1, 13):
        left, top, width, height = rng.randint(0, 12), rng.randint(0, 5), rng.randint(2, 7), rng.randint(2, 4)
        outline = polygon(left, top, left + width, top + height)
        box = {"bbox": [left, top, width, height], "area": width * height}
        category = rng.choice([1, 2, 3])
        entries.append(annotation(number, rng.randint(1, 5), segmentation=outline, category_id=category, **box))
    categories = [{"id": value, "name": name} for value, name in ((1, "a"), (2, "b"), (3, "c"))]
    for _ in range(rng.randint(1, 4)):
        _spoil(rng, images, entries, categories)
    return {"info": {"x": 1}, "images": images, "annotations": entries, "categories": categories, "own": [1, 2]}


def _spoil(rng: random.Random, images: list[Any], entries: list[Any], categories: list[Any]) -> None:
    some, keys = rng.choice(
        [
            (entries, ["id", "image_id", "category_id", "segmentation", "bbox", "area", "iscrowd"]),
            (images, ["id", "file_name", "width", "height"]),
            (categories, ["id", "name"]),
        ]
    )
    place = rng.randrange(len(some))
    kind = rng.random()
    if kind < 0.1 and some is not categories:
        some.append(json.loads(json.dumps(some[place])))
    elif kind < 0.2 and some is not categories:
        some[place] = rng.choice([None, 5, "x", []])
    elif isinstance(some[place], dict):
        key = rng.choice(keys)
        some[place][key] = rng.choice((*_VALUES, "1.png", "../x.png") if some is images else _VALUES)
        if kind > 0.8:
            del some[place][key]


def files_that_training_reads(path: Path) -> set[str] | None:
    """The file names, None where training refuses the file."""
    try:
        dataset = CocoDataset.open(path, path.parent, check_pictures=False)
    except DataError:
        return None
    return {str(dataset.pictures.file_names[position]) for position in dataset.positions}


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_is_repaired_or_refused(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(damaged(random.Random(seed))))
    before = path.read_bytes()
    audited = audit(path)
    if "not-coco" in checks(audited):
        return
    if audited.files["train"].case.repairs.impossible:
        with pytest.raises(DataError, match="cannot be repaired"):
            repaired(audited, tmp_path / "repaired.json")
        assert not (tmp_path / "repaired.json").exists()
        return
    changes = repaired(audited, tmp_path / "repaired.json")
    assert path.read_bytes() == before
    assert checks(audit(tmp_path / "repaired.json"), "error") == set()
    assert CocoDataset.open(tmp_path / "repaired.json", tmp_path, check_pictures=False).left_out == {}
    read, left = files_that_training_reads(path), files_that_training_reads(tmp_path / "repaired.json")
    assert left is not None
    if read is None:
        assert checks(audited, "error")
    else:
        # A reference of the right type may bring a picture back; none is lost.
        assert read <= left
        assert read == left or "other-type" in str(checks(audited))
    _check_that_every_drop_is_named(path, tmp_path / "repaired.json", changes)


def _check_that_every_drop_is_named(path: Path, repaired_path: Path, changes: str) -> None:
    old, new = json.loads(path.read_text()), json.loads(repaired_path.read_text())
    assert [old["info"], old["own"]] == [new["info"], new["own"]]
    for key, name in (("images", "image "), ("annotations", "annotation ")):
        dropped = [line for line in changes.splitlines() if line.startswith(name) and ": left out: " in line]
        assert len(old[key]) - len(new[key]) == len(dropped)


def repair(tmp_path: Path, annotations: list[Any], images: list[Any], **changes: Any) -> tuple[dict[str, Any], str]:
    """The repaired file of these entries and its list of changes."""
    text = repaired(audit(write_coco(tmp_path, images, annotations, **changes), tmp_path), tmp_path / "fixed.json")
    return json.loads((tmp_path / "fixed.json").read_text()), text


def test_an_id_that_occurs_twice_and_0_get_new_ones(tmp_path: Path) -> None:
    outlines = [polygon(0, 0, 9, 2), polygon(0, 4, 9, 6), polygon(10, 4, 19, 6)]
    entries = [good(number, segmentation=outline) for number, outline in zip((7, 7, 0), outlines, strict=True)]
    fixed, changes = repair(tmp_path, entries, [image(1)])
    assert [entry["id"] for entry in fixed["annotations"]] == [7, 8, 9]
    assert "annotation 7 (#1): id 7 → 8" in changes
    assert "annotation 0 (#2): id 0 → 9" in changes


def test_of_two_equal_entries_one_stays_and_of_different_ones_with_one_id_none(tmp_path: Path) -> None:
    same = [image(1), image(1)]
    assert len(repair(tmp_path, [good(1)], same)[0]["images"]) == 1
    different = [image(1), image(2), image(2, file_name="other.png")]
    fixed, changes = repair(tmp_path, [good(1), annotation(2, 2)], different)
    assert [entry["id"] for entry in fixed["images"]] == [1]
    assert "annotation 2 (#1): left out: its picture is left out" in changes


def test_a_moved_file_gets_its_name_and_a_missing_one_is_left_out_with_its_annotations(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1), image(2)], [annotation(1, 1), annotation(2, 2)])
    (tmp_path / "sub").mkdir()
    (tmp_path / "1.png").rename(tmp_path / "sub/1.png")
    (tmp_path / "2.png").unlink()
    changes = repaired(audit(path, tmp_path), tmp_path / "fixed.json")
    fixed = json.loads((tmp_path / "fixed.json").read_text())
    assert [entry["file_name"] for entry in fixed["images"]] == ["sub/1.png"]
    assert [entry["id"] for entry in fixed["annotations"]] == [1]
    assert "image 2 (#1): left out: there is no file '2.png'" in changes
    assert "annotation 2 (#1): left out: its picture is left out" in changes
    assert len(CocoDataset.open(tmp_path / "fixed.json", tmp_path)) == 1


def test_the_entries_of_one_file_are_joined(tmp_path: Path) -> None:
    entries = [annotation(1, 1), annotation(2, 2, segmentation=polygon(0, 0, 9, 2), bbox=[0, 0, 9, 2], area=18)]
    fixed, changes = repair(tmp_path, entries, [image(1), image(2, file_name="1.png")])
    assert [entry["image_id"] for entry in fixed["annotations"]] == [1, 1]
    assert "annotation 2 (#1): image_id 2 → 1, the same file" in changes


def test_of_two_entries_for_one_file_the_one_with_a_size_stays(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1, width=None), image(2, file_name="1.png")], [annotation(1, 1)])
    repaired(audit(path), tmp_path / "fixed.json")
    fixed = json.loads((tmp_path / "fixed.json").read_text())
    assert [entry["id"] for entry in fixed["images"]] == [2]
    assert fixed["annotations"][0]["image_id"] == 2


def test_of_categories_of_one_name_the_one_in_use_stays(tmp_path: Path) -> None:
    categories = {"categories": [{"id": 0, "name": "facade"}, {"id": 3, "name": "facade"}]}
    fixed, _ = repair(tmp_path, [good(1, category_id=3)], [image(1)], **categories)
    assert [entry["id"] for entry in fixed["categories"]] == [3]
    assert fixed["annotations"][0]["category_id"] == 3


@pytest.mark.parametrize(
    ("value", "meant"), [("0", 0), ("false", 0), ("1", 1), ("yes", 1), (2, 1), (0.0, 0), (_NAN, 0)]
)
def test_an_odd_iscrowd_becomes_what_was_meant(value: Any, meant: int, tmp_path: Path) -> None:
    entries = [good(1, iscrowd=value), good(2, segmentation=polygon(10, 4, 19, 6))]
    assert repair(tmp_path, entries, [image(1)])[0]["annotations"][0]["iscrowd"] == meant


def test_categories_of_one_name_are_joined(tmp_path: Path) -> None:
    categories = {"categories": [{"id": value, "name": name} for value, name in ((0, "a"), (1, "b"), (2, "a"))]}
    fixed, changes = repair(
        tmp_path,
        [good(1, category_id=0), good(2, category_id=2, segmentation=polygon(0, 0, 9, 2))],
        [image(1)],
        **categories,
    )
    assert [entry["id"] for entry in fixed["categories"]] == [0, 1]
    assert [entry["category_id"] for entry in fixed["annotations"]] == [0, 0]
    assert "annotation 2 (#1): category_id 2 → 0" in changes


def test_iscrowd_is_set_where_it_is_absent_and_the_ids_are_named(tmp_path: Path) -> None:
    entries = [good(1), good(2, segmentation=polygon(0, 0, 9, 2))]
    del entries[1]["iscrowd"]
    fixed, changes = repair(tmp_path, entries, [image(1)])
    assert [entry["iscrowd"] for entry in fixed["annotations"]] == [0, 0]
    assert "annotations 2: iscrowd 0 set" in changes


def test_identical_objects_are_reduced_to_one_and_near_ones_stay(tmp_path: Path) -> None:
    big = image(1, width=200, height=100)
    outlines = [polygon(20, 30, 80, 70), polygon(20, 30, 80, 70), polygon(21, 30, 80, 70)]
    entries = [good(number, segmentation=outline) for number, outline in enumerate(outlines, start=1)]
    fixed, changes = repair(tmp_path, entries, [big])
    assert [entry["id"] for entry in fixed["annotations"]] == [1, 3]
    assert "annotation 2 (#1): left out: another annotation of its class has the same mask" in changes


def test_two_files_get_one_list_of_categories(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    lists = [[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], [{"id": 1, "name": "b"}, {"id": 2, "name": "c"}]]
    train, val = (
        write_coco(tmp_path / name, [image(1)], [annotation(1, 1, category_id=1)], categories=categories)
        for name, categories in zip(("train", "val"), lists, strict=True)
    )
    audited = audit(train, val=val, pictures=False)
    for split in ("train", "val"):
        repaired(audited, tmp_path / f"{split}.json", split)
    fixed = [json.loads((tmp_path / f"{split}.json").read_text()) for split in ("train", "val")]
    assert fixed[0]["categories"] == fixed[1]["categories"]
    assert [(entry["id"], entry["name"]) for entry in fixed[0]["categories"]] == [(1, "a"), (2, "b"), (3, "c")]
    assert [file["annotations"][0]["category_id"] for file in fixed] == [1, 2]
    again = audit(tmp_path / "train.json", val=tmp_path / "val.json", pictures=False)
    assert "different-categories" not in checks(again)


def test_the_first_reason_to_leave_something_out_stays() -> None:
    repairs = Repairs()
    repairs.drop_annotation(0, "its mask is empty")
    repairs.settle(np.array([-1, 0]), image_count=1)
    repairs.drop_image(0, "there is no file")
    repairs.settle(np.array([0, 0]), image_count=1)
    assert {number: edit.drop for number, edit in repairs.annotations.items()} == {
        0: "its mask is empty",
        1: "its picture is left out",
    }


def test_a_rectangle_is_cut_to_the_rectangle_that_is_left() -> None:
    cut = np.array(clip_polygon([-2, 2, 4, 2, 4, 6, -2, 6], 100, 5)).reshape(-1, 2)
    assert {tuple(point) for point in cut.tolist()} == {(0, 2), (4, 2), (4, 5), (0, 5)}


@pytest.mark.parametrize("seed", range(20))
def test_a_polygon_cut_at_the_edge_draws_the_same_mask(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-40, 140, (8, 2)) * [1, 0.5]
    part = points.ravel().tolist()
    cut = ordered_outline([part], 50, 100)[0]
    before, after = coco_mask.frPyObjects([part, cut], 50, 100)
    assert coco_mask.iou([before], [after], [0])[0, 0] >= 0.98
    clipped = np.array(clip_polygon(part, 100, 50)).reshape(-1, 2)
    assert (clipped >= 0).all()
    assert (clipped <= [100, 50]).all()
