"""What is taken for COCO and is none gets its name, and the words that read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.data.formats.recognise import recognise_folder
from maskrcnn_exp.data.layout import find_coco_layout
from maskrcnn_exp.errors import DataError
from tests.data.coco_files import annotation, image, write_coco
from tests.data.formats.test_labelme import labelme, shape
from tests.data.formats.test_voc import voc
from tests.data.formats.test_yolo_seg import SQUARE, yolo
from tests.shared_data import SHARED, needs_shared_data


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        CocoDataset.open(path, path.parent)
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"image_id": 1, "category_id": 1, "score": 0.5}], "a list of COCO detection results"),
        ([{"image_id": 1, "category_id": 1, "bbox": []}], "a list of COCO annotations alone"),
        ([{"image": "a.jpg", "annotations": []}], "a CreateML file: boxes, which have no masks"),
        ([{"id": 1, "data": {}, "annotations": [{"result": []}]}], "a Label Studio export"),
        ([{"data_row": {}, "projects": {}}], "a Labelbox export"),
        ({"_via_img_metadata": {}}, "a VGG Image Annotator (VIA) project"),
        ({"type": "FeatureCollection"}, "GeoJSON"),
        ({"annotations": []}, "COCO-like, but without the list `images`"),
    ],
)
def test_a_json_file_of_another_tool_is_named(content: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    assert f"it seems to be {said}" in refused(path)


@needs_shared_data
def test_a_real_via_file_is_named() -> None:
    assert "(VIA)" in refused(SHARED / "defects/annotations/balloon_val_via_region_data.json")


def test_a_labelme_file_names_its_folder_and_other_text_its_reader(tmp_path: Path) -> None:
    labelme(tmp_path, "a", [shape()])
    assert f"dataset=labelme dataset.root={tmp_path}" in refused(tmp_path / "a.json")
    yolo(tmp_path / "yolo", {"a": SQUARE})
    assert f"dataset=yolo_seg dataset.root={tmp_path}/yolo/data.yaml" in refused(tmp_path / "yolo/data.yaml")
    assert "dataset=yolo_seg" in refused(tmp_path / "yolo/labels/a.txt")
    assert "dataset=mask_png or dataset=voc" in refused(tmp_path / "yolo/images/a.png")
    (tmp_path / "a.xml").write_text("<annotation>")
    assert "begins like XML" in refused(tmp_path / "a.xml")


def test_annotations_of_boxes_keypoints_or_panoptic_have_no_masks(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1)], [annotation(1, 1, segmentation=None)])
    assert "boxes only, keypoints or COCO panoptic" in refused(path)


def folder_of(kind: str, root: Path) -> Path:
    if kind == "labelme":
        return labelme(root, "a", [shape()])
    if kind == "voc":
        return voc(root, "ab")
    if kind == "mask_png":
        for name in ("PNGImages", "PedMasks"):
            (root / name).mkdir(parents=True)
        return root
    return yolo(root, {"a": SQUARE, "b": ""})


@pytest.mark.parametrize("kind", ["yolo_seg", "labelme", "voc", "mask_png"])
def test_a_folder_of_another_format_names_the_words_that_read_it(kind: str, tmp_path: Path) -> None:
    root = folder_of(kind, tmp_path / "set")
    words = f"dataset={kind} dataset.root={root}"
    assert words in recognise_folder(root)
    assert words in refused(root)
    with pytest.raises(DataError, match=f"It seems to be .*{words}"):
        find_coco_layout(root)


def test_folders_without_masks_say_so(tmp_path: Path) -> None:
    yolo(tmp_path / "boxes", {"a": "0 0.5 0.5 0.1 0.1", "b": ""})
    assert "YOLO dataset of boxes, which have no masks" in recognise_folder(tmp_path / "boxes")
    (tmp_path / "xml").mkdir()
    (tmp_path / "xml/a.xml").write_text("<annotation><object><bndbox></bndbox></object></annotation>")
    assert "Pascal VOC boxes (a.xml), which have no masks" in recognise_folder(tmp_path / "xml")


def test_coco_files_in_unusual_places_are_found(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1)], [annotation(1, 1)])
    assert f"dataset=coco dataset.train.annotations={path} " in recognise_folder(tmp_path)
    (tmp_path / "annotations").mkdir()
    path.rename(tmp_path / "annotations/instances_train.json")
    assert recognise_folder(tmp_path).endswith(f"dataset=coco dataset.root={tmp_path}")


def test_yolo_labels_alone_and_nothing_known(tmp_path: Path) -> None:
    assert recognise_folder(tmp_path) == ""
    assert recognise_folder(tmp_path / "absent") == ""
    (yolo(tmp_path, {"a": SQUARE}) / "data.yaml").unlink()
    assert "YOLO labels without a data.yaml" in recognise_folder(tmp_path)


def test_stuff_classes_are_noted(tmp_path: Path) -> None:
    categories = [{"id": number, "name": f"stuff {number}"} for number in range(92, 184)]
    path = write_coco(tmp_path, [image(1)], [annotation(1, 1, category_id=92)], categories=categories)
    assert any("COCO stuff" in note for note in CocoDataset.open(path, tmp_path).summary().notes)
    path = write_coco(tmp_path, [image(1)], [annotation(1, 1, category_id=92)], categories=categories[:20])
    assert not any("COCO stuff" in note for note in CocoDataset.open(path, tmp_path).summary().notes)
