"""The real files with real defects: what their NOTES.md says is found, and nothing crashes."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pytest

from maskrcnn_exp.data.audit.audit import Audited
from maskrcnn_exp.data.coco import CocoDataset
from tests.data.audit.audits import audit, checks, finding, repaired
from tests.shared_data import SHARED, needs_shared_data

pytestmark = needs_shared_data

ANNOTATIONS = SHARED / "defects/annotations"
TACO = ANNOTATIONS / "taco_annotations.json"
FACADE = ANNOTATIONS / "facade_valid_annotations.coco.json"
BORRAT = ANNOTATIONS / "borrat_valid_annotations.coco.json"
LVIS = ANNOTATIONS / "lvis_v0.5_val_100.json"


@lru_cache
def annotations_only(path: Path) -> Audited:
    """The audit of a file without its pictures; it is not changed by looking at it."""
    return audit(path)


def test_taco() -> None:
    audited = annotations_only(TACO)
    assert finding(audited, "duplicate-annotation-id").ids == (309, 4040)
    assert {371, 387, 707, 859} <= set(finding(audited, "just-outside-picture").ids)
    assert {31, 3525} <= set(finding(audited, "area-far-from-mask").ids)
    assert finding(audited, "category-id-zero").ids == (0,)
    assert finding(audited, "unused-category").ids == (35,)


def test_facade(tmp_path: Path) -> None:
    """24 of the listed files lie in images/ below the folder, as in the original."""
    names = [entry["file_name"] for entry in json.loads(FACADE.read_text())["images"]]
    for number, name in enumerate(names):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / ("images" if number < 24 else "") / name).touch()
    audited = audit(FACADE, tmp_path, pictures=False)
    assert finding(audited, "file-elsewhere").count == 24
    assert finding(audited, "duplicate-category-name").ids == (0, 3)
    areas = finding(audited, "area-far-from-mask")
    assert areas.count / len(audited.splits[0].objects) == pytest.approx(0.82, abs=0.01)
    assert "area of the bbox" in areas.says
    assert finding(audited, "annotation-id-zero").ids == (0,)
    changes = repaired(audited, tmp_path / "fixed.json")
    assert changes.count("file_name") == 24
    assert checks(audit(tmp_path / "fixed.json", tmp_path, pictures=False), "error") == set()


def test_borrat() -> None:
    audited = annotations_only(BORRAT)
    assert finding(audited, "mixed-outlines").count == 8
    assert "8 objects have polygons and 72 run lengths" in finding(audited, "mixed-outlines").says
    assert "area of the bbox" in finding(audited, "area-far-from-mask").says
    assert finding(audited, "loose-box").count == 8
    assert finding(audited, "unused-category").ids == (0,)


def test_lvis() -> None:
    audited = annotations_only(LVIS)
    assert finding(audited, "no-iscrowd").count == 977
    assert finding(audited, "unused-category").count == 1230 - 190
    assert finding(audited, "picture-without-objects").count == 7
    turned = set(finding(audited, "turned-box").ids)
    assert {448, 449, 579} <= turned
    pictures = {entry["id"]: entry["image_id"] for entry in json.loads(LVIS.read_text())["annotations"]}
    assert {pictures[number] for number in turned} == {179898, 443426, 464824}


def test_a_via_project_is_named() -> None:
    found = finding(audit(ANNOTATIONS / "balloon_val_via_region_data.json"), "not-coco")
    assert "VGG Image Annotator" in found.says


@pytest.mark.parametrize("path", [TACO, FACADE, BORRAT, LVIS], ids=lambda path: path.stem)
def test_repaired_files_are_without_errors_and_have_the_same_pictures(path: Path, tmp_path: Path) -> None:
    repaired(annotations_only(path), tmp_path / "fixed.json")
    again = audit(tmp_path / "fixed.json")
    assert checks(again, "error") == set()
    assert not checks(again) & {"area-far-from-mask", "loose-box", "just-outside-picture", "no-iscrowd"}
    before, after = (CocoDataset.open(file, tmp_path, check_pictures=False) for file in (path, tmp_path / "fixed.json"))
    assert before.pictures.file_names.tolist() == after.pictures.file_names.tolist()
    assert len(before) == len(after)


@pytest.mark.parametrize("name", ["balloon", "coco_mini", "nuclei"])
def test_sound_real_datasets_have_no_errors(name: str) -> None:
    folder = SHARED / name
    splits = (folder / f"annotations/instances_{split}.json" for split in ("train", "val"))
    assert checks(audit(next(splits), folder / "images", next(splits), pictures=name != "nuclei"), "error") == set()


def test_real_pictures_with_defects_are_sorted_out(tmp_path: Path) -> None:
    """One file over all of them, with the sizes that its pictures are shown in."""
    folder = SHARED / "defects/images"
    sizes = {"exif_Landscape_1.jpg": (600, 400), "exif_Landscape_6.jpg": (400, 600), "pillow_hopper.gif": (128, 128)}
    sizes |= {"pillow_truncated_jpeg.jpg": (100, 100), "pillow_broken.png": (10, 10)}
    sizes |= {"pillow_hopper_orientation_3.jpg": (128, 128), "pillow_pil_sample_cmyk.jpg": (50, 50)}
    images = [{"id": n, "file_name": name, "width": w, "height": h} for n, (name, (w, h)) in enumerate(sizes.items())]
    outline = {"segmentation": [[1, 1, 9, 1, 9, 9]], "bbox": [1, 1, 8, 8], "area": 32, "iscrowd": 0}
    entries = [{"id": n + 1, "image_id": n, "category_id": 1, **outline} for n in range(len(images))]
    path = tmp_path / "file.json"
    path.write_text(json.dumps({"images": images, "annotations": entries, "categories": [{"id": 1, "name": "x"}]}))
    audited = audit(path, folder)
    assert finding(audited, "unreadable-picture").ids == (3, 4)
    assert finding(audited, "picture-size").ids == (6,)
    assert finding(audited, "exif-not-applied").ids == (1,)
    assert finding(audited, "exif-unclear").ids == (5,)
    repaired(audited, tmp_path / "fixed.json")
    dataset = CocoDataset.open(tmp_path / "fixed.json", folder)
    assert [dataset.load(position).image.shape[0] for position in range(len(dataset))] == [3] * 4


def test_the_mask_of_a_finding_is_shown_without_its_picture() -> None:
    audited = annotations_only(TACO)
    found = finding(audited, "area-far-from-mask")
    drawn = audited.shown(found, found.numbers[0])
    assert drawn is not None
    assert drawn.pixels is None
    assert drawn.mask is not None
    assert int(drawn.mask.sum()) == 13285
