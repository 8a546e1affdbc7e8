"""Ids and what they refer to: one rule each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.audit.audits import audit, audit_entries, checks, finding, good
from tests.data.coco_files import annotation, image, write_coco


def test_a_sound_file_has_neither_errors_nor_warnings(tmp_path: Path) -> None:
    images = [image(1), image(2)]
    path = write_coco(tmp_path, images, [annotation(1, 1), annotation(2, 2)])
    assert checks(audit(path)) <= {"pictures-not-read", "rare-class"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"_via_img_metadata": {}}', "VGG Image Annotator"),
        ("<annotation></annotation>", "Pascal VOC or CVAT"),
        ("0 0.5 0.5 0.1 0.1\n", "YOLO"),
        ('[{"image_id": 1, "category_id": 1, "score": 0.5}]', "detection results"),
        ('{"images": [], "annotations": [], "categories": []}', "`images` is empty"),
        ('{"images": [{"id": 1}], "annotations": []}', "no `categories`"),
        ('{"images": [{"id": 1', "not JSON"),
    ],
)
def test_another_format_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    found = finding(audit(path), "not-coco")
    assert found.severity == "error"
    assert message in found.says


@pytest.mark.parametrize(
    ("keys", "message"),
    [({}, "boxes only"), ({"keypoints": [1]}, "keypoints"), ({"segments_info": []}, "panoptic")],
)
def test_annotations_without_masks_are_named_for_what_they_are(
    keys: dict[str, Any], message: str, tmp_path: Path
) -> None:
    entry = {**good(1), **keys}
    del entry["segmentation"]
    audited = audit_entries(tmp_path, [entry])
    assert message in finding(audited, "no-masks").says
    assert checks(audited, "error") == {"no-masks"}  # and no picture is called to blame


def test_an_annotation_id_that_an_earlier_one_has_is_named(tmp_path: Path) -> None:
    found = finding(audit_entries(tmp_path, [good(7), good(8, bbox=[1, 1, 1, 1]), good(7)]), "duplicate-annotation-id")
    assert (found.severity, found.count, found.ids, found.numbers) == ("error", 1, (7,), (2,))


def test_annotation_ids_that_are_absent_zero_or_text_are_told_apart(tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(0), good("a"), {**good(3), "id": None}])
    assert finding(audited, "annotation-without-id").ids == ("#2",)
    assert finding(audited, "annotation-id-zero").ids == ("0",)
    assert finding(audited, "string-annotation-id").ids == ("0", "a")


def test_a_reference_to_nothing_is_an_error(tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(1), annotation(2, 99), good(3, category_id=5)])
    assert finding(audited, "unknown-image-id").ids == (2,)
    assert finding(audited, "unknown-category-id").ids == (3,)


def test_a_reference_as_text_to_a_number_is_told_from_one_to_nothing(tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(1), annotation(2, "1"), good(3, category_id="1")])
    assert finding(audited, "image-id-of-other-type").ids == (2,)
    assert finding(audited, "category-id-of-other-type").ids == (3,)
    assert not {"unknown-image-id", "unknown-category-id"} & checks(audited)


def test_image_ids_that_occur_twice_are_an_error_and_gaps_a_note(tmp_path: Path) -> None:
    images = [image(1), image(5), image(5, file_name="other.png")]
    audited = audit_entries(tmp_path, [good(1)], images)
    twice, gaps = finding(audited, "duplicate-image-id"), finding(audited, "image-id-gaps")
    assert (twice.severity, twice.numbers) == ("error", (1, 2))
    assert (gaps.severity, gaps.ids) == ("note", (1,))
    assert "leave out 3" in gaps.says


def test_image_ids_as_text_are_a_note(tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [annotation(1, "a")], [image("a"), image(2)])
    found = finding(audited, "string-image-id")
    assert (found.severity, found.ids) == ("note", ("a",))


def test_two_entries_for_one_file_are_an_error(tmp_path: Path) -> None:
    found = finding(audit_entries(tmp_path, [good(1)], [image(1), image(2, file_name="1.png")]), "duplicate-file-name")
    assert (found.severity, found.ids) == ("error", (2,))


def test_a_picture_without_id_or_name_is_an_error_and_a_url_gives_a_name(tmp_path: Path) -> None:
    images = [image(1), {"id": 2, "width": 20, "height": 10}, {**image(3), "id": None}]
    images.append({**image(4), "file_name": "", "coco_url": "http://images.cocodataset.org/val2017/000000000004.jpg"})
    path = tmp_path / "file.json"
    categories = [{"id": 1, "name": "thing"}]
    path.write_text(json.dumps({"images": images, "annotations": [good(1)], "categories": categories}))
    audited = audit(path)
    assert finding(audited, "picture-entry").ids == (2, "#2")
    assert finding(audited, "picture-without-file-name").ids == (4,)


@pytest.mark.parametrize("name", ["../1.png", "/etc/1.png", "C:\\1.png", "a/../../1.png"])
def test_a_file_name_that_leads_out_of_the_folder_is_an_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    content = {"images": [image(1, file_name=name)], "annotations": [good(1)], "categories": [{"id": 1}]}
    path.write_text(json.dumps(content))
    assert finding(audit(path), "file-name-outside").severity == "error"


def test_a_picture_that_nobody_can_hold_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    images = [image(1), image(2, width=100_000, height=100_000)]
    entries = [good(1), annotation(2, 2)]
    path.write_text(json.dumps({"images": images, "annotations": entries, "categories": [{"id": 1, "name": "a"}]}))
    audited = audit(path)
    assert finding(audited, "too-many-pixels").ids == (2,)
    assert audited.splits[0].usable.tolist() == [True, False]


@pytest.mark.parametrize(("value", "severity"), [(None, None), ("0", "error"), (2, "error"), (True, None), (1, None)])
def test_iscrowd_must_be_0_or_1(value: Any, severity: str | None, tmp_path: Path) -> None:
    entry = good(1, iscrowd=value)
    if value is None:
        del entry["iscrowd"]
    audited = audit_entries(tmp_path, [entry, good(2, bbox=[1, 1, 1, 1])])
    assert ("odd-iscrowd" in checks(audited, "error")) == (severity == "error")
    assert ("no-iscrowd" in checks(audited, "note")) == (value is None)


def test_mixed_outlines_name_the_fewer_ones(tmp_path: Path) -> None:
    rle = {"size": [10, 20], "counts": [10, 5, 185]}
    audited = audit_entries(tmp_path, [good(1), good(2), good(3, segmentation=rle, bbox=[1, 0, 1, 5], area=5)])
    found = finding(audited, "mixed-outlines")
    assert (found.severity, found.ids) == ("note", (3,))
    assert "crowd-as-polygon" not in checks(audited)


def test_a_crowd_of_polygons_and_a_polygon_without_its_list_are_noted(tmp_path: Path) -> None:
    bare = [2, 3, 8, 3, 8, 7, 2, 7]
    audited = audit_entries(tmp_path, [good(1, iscrowd=1), good(2, segmentation=bare)])
    assert finding(audited, "crowd-as-polygon").ids == (1,)
    assert finding(audited, "bare-polygon").ids == (2,)


def test_a_file_without_annotations_is_an_error(tmp_path: Path) -> None:
    assert finding(audit_entries(tmp_path, []), "no-annotations").severity == "error"
