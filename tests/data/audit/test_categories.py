"""Categories of one file and of two: one rule each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.data.audit.audits import audit, audit_entries, checks, finding, good
from tests.data.coco_files import annotation, image, write_coco


def named(*pairs: tuple[Any, str]) -> dict[str, Any]:
    return {"categories": [{"id": value, "name": name} for value, name in pairs]}


def test_the_category_id_0_is_noted_where_it_is_used(tmp_path: Path) -> None:
    categories = named((0, "a"), (1, "b"))
    used = audit_entries(tmp_path, [good(1, category_id=0)], **categories)
    assert finding(used, "category-id-zero").severity == "note"
    assert "category-id-zero" not in checks(audit_entries(tmp_path, [good(1)], **categories))


def test_one_name_for_two_used_categories_is_an_error_and_a_warning_where_one_is_unused(tmp_path: Path) -> None:
    categories = named((0, "facade"), (3, "facade"), (4, "door"))
    both = audit_entries(tmp_path, [good(1, category_id=0), good(2, category_id=3)], **categories)
    assert finding(both, "duplicate-category-name").severity == "error"
    one = finding(audit_entries(tmp_path, [good(2, category_id=3)], **categories), "duplicate-category-name")
    assert (one.severity, one.ids) == ("warning", (0, 3))


def test_names_that_differ_in_case_and_dashes_only_are_a_warning(tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(1)], **named((1, "Traffic light"), (2, "traffic-light"), (3, "car")))
    assert finding(audited, "similar-category-names").ids == ("Traffic light", "traffic-light")


def test_categories_without_id_or_with_one_id_are_errors(tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(1)], **named((1, "a"), (1, "b"), (None, "c")))
    assert finding(audited, "duplicate-category-id").ids == (1,)
    assert finding(audited, "category-without-id").ids == ("#2",)


def test_unused_categories_are_noted(tmp_path: Path) -> None:
    audited = audit_entries(tmp_path, [good(1)], **named((1, "a"), (35, "b")))
    assert finding(audited, "unused-category").ids == (35,)


def test_other_categories_in_validation_than_in_training_are_an_error(tmp_path: Path) -> None:
    folders = [tmp_path / "train", tmp_path / "val"]
    for folder in folders:
        folder.mkdir()
    lists = [named((1, "a"), (2, "b")), named((1, "b"), (2, "c"))]
    train, val = (
        write_coco(folder, [image(1)], [annotation(1, 1)], **categories)
        for folder, categories in zip(folders, lists, strict=True)
    )
    found = finding(audit(train, val=val, pictures=False), "different-categories")
    assert (found.severity, found.ids) == ("error", ("a", "c"))
    assert "different-categories" not in checks(audit(train, val=train, pictures=False))
