"""Class balance, within training and between training and validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maskrcnn_exp.data.audit.audit import Audited
from tests.data.audit.audits import audit, checks, finding
from tests.data.coco_files import annotation, image, write_coco

CLASSES = {"categories": [{"id": value, "name": name} for value, name in enumerate("abcd", start=1)]}


def balance(tmp_path: Path, train: dict[int, int], val: dict[int, int]) -> Audited:
    """Audit two files with so many objects per category, all in one picture."""
    paths = []
    for name, counts in (("train", train), ("val", val)):
        (tmp_path / name).mkdir()
        categories = [category for category, count in counts.items() for _ in range(count)]
        entries: list[Any] = [annotation(n, 1, category_id=value) for n, value in enumerate(categories, start=1)]
        paths.append(write_coco(tmp_path / name, [image(1)], entries, **CLASSES))
    return audit(paths[0], val=paths[1], pictures=False)


def test_classes_on_one_side_only_are_named(tmp_path: Path) -> None:
    audited = balance(tmp_path, {1: 20, 2: 20}, {1: 5, 3: 5})
    assert finding(audited, "class-only-in-val").ids == (3,)
    assert finding(audited, "class-only-in-val").severity == "warning"
    assert finding(audited, "class-only-in-train").ids == (2,)
    assert finding(audited, "unused-category").ids == (4,)


def test_rare_and_uneven_classes_are_noted(tmp_path: Path) -> None:
    audited = balance(tmp_path, {1: 200, 2: 3}, {1: 50, 2: 1})
    assert finding(audited, "rare-class").ids == (2,)
    assert "67 times" in finding(audited, "uneven-classes").says
    assert "class-share-differs" not in checks(audited)


def test_a_class_with_another_share_in_validation_is_a_warning(tmp_path: Path) -> None:
    audited = balance(tmp_path, {1: 180, 2: 20}, {1: 40, 2: 60})
    assert 2 in finding(audited, "class-share-differs").ids
    assert "b 10.0 % / 60.0 %" in finding(audited, "class-share-differs").says


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ({1: 92, 2: 8}, {1: 82, 2: 18}),  # 2.2 times as many, 2.1 standard deviations apart
        ({1: 175, 2: 75}, {1: 125, 2: 125}),  # 4.6 standard deviations apart, 1.7 times as many
        ({1: 38, 2: 2}, {1: 10, 2: 8}),  # far apart, but too few to say
    ],
)
def test_shares_that_are_close_or_may_be_chance_are_no_finding(
    train: dict[int, int], val: dict[int, int], tmp_path: Path
) -> None:
    assert "class-share-differs" not in checks(balance(tmp_path, train, val))


def test_pictures_without_objects_are_noted(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1), image(2)], [annotation(1, 1)])
    assert finding(audit(path), "picture-without-objects").ids == (2,)
