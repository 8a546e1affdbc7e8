"""Suspect masks and objects drawn twice. The picture has 200 × 100 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.audit.audits import audit_entries, checks, finding, good, polygon
from tests.data.coco_files import image

BIG = [image(1, width=200, height=100)]
CLASSES = {"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}
OF_MASKS = {"box-as-mask", "mask-far-smaller-than-box", "line-mask"}


@pytest.mark.parametrize(
    ("outline", "check"),
    [
        (polygon(20, 30, 80, 70), "box-as-mask"),
        ([[20, 30, 80, 30, 80, 70]], None),
        ([[20, 20, 90, 90, 90, 88, 22, 20]], "mask-far-smaller-than-box"),
        ([*polygon(20, 20, 22, 22), *polygon(150, 80, 152, 82)], "mask-far-smaller-than-box"),
        (polygon(20, 20, 25, 25), None),
        (polygon(20, 20, 26, 21), "line-mask"),
    ],
)
def test_masks_that_do_not_look_like_masks_are_suspect(outline: Any, check: str | None, tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(1, segmentation=outline)], BIG)
    assert OF_MASKS & checks(audited) == ({check} if check else set())


def test_crowd_regions_are_not_suspect(tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(1, segmentation=polygon(20, 30, 80, 70), iscrowd=1)], BIG)
    assert not OF_MASKS & checks(audited)


def test_an_object_drawn_twice_is_named_once_by_its_later_annotation(tmp_path: Path) -> None:
    entries = [
        good(1, segmentation=polygon(20, 30, 80, 70)),
        good(2, segmentation=polygon(21, 30, 80, 70)),
        good(3, segmentation=polygon(40, 30, 80, 70)),
        good(4, segmentation=polygon(20, 30, 80, 70), category_id=2),
    ]
    found = finding(audit_entries(tmp_path, entries, BIG, **CLASSES), "object-twice")
    assert (found.severity, found.ids) == ("warning", (2,))


def test_of_three_identical_objects_two_are_too_many(tmp_path: Path) -> None:
    entries = [good(number, segmentation=polygon(20, 30, 80, 70)) for number in (3, 1, 2)]
    assert finding(audit_entries(tmp_path, entries, BIG), "object-twice").ids == (1, 2)


def test_equal_boxes_with_different_masks_are_two_objects(tmp_path: Path) -> None:
    """Two triangles that share a square: same class, same box, same area."""
    entries = [good(1, segmentation=[[20, 20, 80, 20, 80, 80]]), good(2, segmentation=[[20, 20, 20, 80, 80, 80]])]
    assert "object-twice" not in checks(audit_entries(tmp_path, entries, BIG))
