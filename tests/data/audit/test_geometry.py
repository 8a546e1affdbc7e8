"""Outlines, boxes and areas against each other: one rule each. Pictures are 20 × 10 pixels unless said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskrcnn_exp.data.boxes import box_iou
from tests.data.audit.audits import audit_entries, checks, finding, good, polygon
from tests.data.coco_files import annotation, image

BIG = image(1, width=200, height=100)


@pytest.mark.parametrize(
    ("outline", "check"),
    [
        ([], "no-outline"),
        ("text", "odd-outline"),
        ({"counts": [10, 5, 184], "size": [10, 20]}, "broken-rle"),
        ({"counts": "~~", "size": [10, 20]}, "broken-rle"),
        ({"counts": [10, 5, 185]}, "broken-rle"),
        ({"counts": [200], "size": [10, 20]}, "empty-mask"),
        ({"counts": [10, 5, 185], "size": [20, 10]}, "rle-size"),
        ([[1, 1, 5, 5]], "broken-polygon"),
        ([[1, 1, 5, 1, 5, "y"]], "broken-polygon"),
        (polygon(50, 50, 60, 60), "empty-mask"),
        (polygon(3.1, 3.1, 3.2, 3.2), "empty-mask"),
    ],
)
def test_an_outline_that_cannot_be_used_is_an_error(outline: Any, check: str, tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(1), good(2, segmentation=outline)])
    assert (finding(audited, check).severity, finding(audited, check).ids) == ("error", (2,))


def test_a_picture_that_keeps_none_of_its_annotations_is_an_error(tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(1), annotation(2, 2, segmentation=[])], [image(1), image(2)])
    assert finding(audited, "all-annotations-unusable").ids == (2,)


def test_a_polygon_part_of_two_points_is_a_warning(tmp_path: Path) -> None:
    entry = good(1, segmentation=[*polygon(2, 3, 8, 7), [1, 1, 2, 2]])
    assert finding(audit_entries(tmp_path, [entry]), "polygon-part-lost").severity == "warning"


@pytest.mark.parametrize(
    ("box", "check", "severity"),
    [
        (None, "no-box", "warning"),
        ([2, 3, float("nan"), 4], "no-box", "warning"),
        ([2, 3, 0, 4], "flat-box", "error"),
        ([2, 3, -6, 4], "flat-box", "error"),
        ([120, 60, 40, 30], "box-beside-mask", "error"),
        ([20, 30, 50, 40], "loose-box", "warning"),
        ([20, 30, 36, 40], "loose-box", "warning"),
        ([20, 30, 62, 42], None, None),
        ([19, 29, 62, 42], None, None),
    ],
)
def test_boxes_are_held_against_the_mask(box: Any, check: str | None, severity: str | None, tmp_path: Path) -> None:
    entry = good(1, segmentation=polygon(20, 30, 80, 70), area=2400, bbox=box)
    audited = audit_entries(tmp_path, [entry], [BIG])
    of_boxes = {"no-box", "flat-box", "box-beside-mask", "loose-box", "turned-box"} & checks(audited)
    assert of_boxes == ({check} if check else set())
    if check:
        assert finding(audited, check).severity == severity


def test_a_pixel_more_or_less_is_no_finding_for_a_small_object(tmp_path: Path) -> None:
    """6 × 4 pixels: the box has an IoU of 0.69, the area is off by a fifth."""
    audited = audit_entries(tmp_path, [good(1, bbox=[2, 3, 7, 5], area=29)])
    assert not {"loose-box", "area-far-from-mask"} & checks(audited)


@pytest.mark.parametrize("scaled", [True, False])
def test_a_box_that_fits_after_a_turn_of_the_picture_is_told_from_one_that_lies_anywhere(
    scaled: bool, tmp_path: Path
) -> None:
    """The mask spans x 20 … 80 of 200 and y 30 … 40 of 100; the box is what a quarter turn makes of it."""
    turned = (
        [60, 20, 10, 60] if not scaled else [60 * 2, 20 / 2, 10 * 2, 60 / 2]
    )  # in a frame of 100 × 200; of 200 × 100
    entries = [good(1, segmentation=polygon(20, 30, 80, 40), area=600, bbox=turned)]
    entries.append(good(2, segmentation=polygon(150, 50, 190, 90), area=1600, bbox=[0, 0, 9, 9]))
    audited = audit_entries(tmp_path, entries, [BIG])
    assert finding(audited, "turned-box").ids == (1,)
    assert finding(audited, "box-beside-mask").ids == (2,)


def test_one_of_many_boxes_that_fits_after_a_turn_is_chance(tmp_path: Path) -> None:
    entries = [good(1, segmentation=polygon(20, 30, 80, 40), area=600, bbox=[60, 20, 10, 60])]
    for number, left in ((2, 110), (3, 140), (4, 170)):
        outline = polygon(left, 50, left + 20, 90)
        entries.append(good(number, segmentation=outline, area=800, bbox=[5 * number, 0, 9, 9]))
    audited = audit_entries(tmp_path, entries, [BIG])
    assert finding(audited, "box-beside-mask").ids == (1, 2, 3, 4)
    assert "turned-box" not in checks(audited)


def test_areas_are_held_against_the_drawn_mask_not_against_the_corners(tmp_path: Path) -> None:
    """An outline that crosses itself: its shoelace area is 0, its mask is two triangles."""
    bow_tie = [[20, 20, 80, 80, 80, 20, 20, 80]]
    entries = [
        good(1, segmentation=bow_tie, area=0, bbox=[20, 20, 60, 60]),
        good(2, segmentation=polygon(100, 10, 150, 60), area=2500, bbox=[100, 10, 50, 50]),
        good(3, segmentation=polygon(100, 10, 150, 60), area=None, bbox=[100, 10, 50, 50], category_id=1),
    ]
    audited = audit_entries(tmp_path, entries, [BIG])
    assert finding(audited, "area-far-from-mask").ids == (1,)
    assert finding(audited, "no-area").ids == (3,)


def test_areas_that_are_the_areas_of_the_boxes_are_named_as_such(tmp_path: Path) -> None:
    triangle = [[20, 20, 80, 20, 80, 80]]
    found = finding(
        audit_entries(tmp_path, [good(1, segmentation=triangle, area=3600, bbox=[20, 20, 60, 60])], [BIG]),
        "area-far-from-mask",
    )
    assert "is the area of the bbox" in found.says


@pytest.mark.parametrize(
    ("left", "check"), [(-1, "just-outside-picture"), (-9, "outside-picture"), (0, None), (-0.3, None)]
)
def test_what_reaches_out_of_the_picture_is_a_note_or_a_warning_by_how_far(
    left: float, check: str | None, tmp_path: Path
) -> None:
    entry = good(1, segmentation=polygon(left, 30, 80, 70), area=3200, bbox=[left, 30, 80 - left, 40])
    found = {"just-outside-picture", "outside-picture"} & checks(audit_entries(tmp_path, [entry], [BIG]))
    assert found == ({check} if check else set())


def test_box_iou_is_intersection_over_union_and_0_for_what_is_no_box() -> None:
    boxes = np.array([[0.0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4]])
    others = np.array([[2.0, 0, 6, 4], [4, 4, 8, 8], [np.nan] * 4])
    assert box_iou(boxes, others).tolist() == pytest.approx([8 / 24, 0, 0])
