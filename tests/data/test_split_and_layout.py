"""Splits depend on names alone; layouts are found, or what was looked for is listed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_exp.data.layout import find_coco_layout, find_mask_png_layout
from maskrcnn_exp.data.split import split_by_name
from maskrcnn_exp.errors import DataError
from tests.shared_data import SHARED, needs_shared_data


@given(
    names=st.lists(st.text(max_size=8), min_size=2, max_size=30, unique=True),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_any_order_of_the_names_gives_the_same_split(names: list[str], fraction: float, seed: int) -> None:
    train, val = split_by_name(names, fraction)
    assert len(train) > 0
    assert len(val) > 0
    assert sorted([*train, *val]) == list(range(len(names)))
    shuffled = random.Random(seed).sample(names, len(names))
    _, val_again = split_by_name(shuffled, fraction)
    assert {shuffled[position] for position in val_again} == {names[position] for position in val}


def test_the_split_never_changes_between_versions() -> None:
    """`printf 003.jpg | sha256sum` begins with 185b, 009 with 237c, 000 with 2fdc; the next is 010 with 42a0."""
    names = [f"{number:03d}.jpg" for number in range(12)]
    _, val = split_by_name(names, 0.25)
    assert [names[position] for position in val] == ["000.jpg", "003.jpg", "009.jpg"]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        split_by_name(["a", "b"], fraction)


def test_one_picture_cannot_be_split() -> None:
    with pytest.raises(DataError, match="cannot be split"):
        split_by_name(["a"], 0.5)


def made(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (("images", "annotations/instances_train.json"), ("images", "annotations/instances_val.json")),
        (("train2017", "annotations/instances_train2017.json"), ("val2017", "annotations/instances_val2017.json")),
        (("train", "train/_annotations.coco.json"), ("valid", "valid/_annotations.coco.json")),
    ],
)
def test_usual_coco_layouts_are_found(tmp_path: Path, train: tuple[str, str], val: tuple[str, str]) -> None:
    root = made(tmp_path, f"{train[0]}/a.jpg", train[1], f"{val[0]}/b.jpg", val[1])
    assert find_coco_layout(root) == tuple(root / name for name in (*train, *val))


def test_a_layout_without_validation_annotations_has_none(tmp_path: Path) -> None:
    root = made(tmp_path, "images/a.jpg", "annotations/instances_train.json")
    assert find_coco_layout(root)[2:] == (None, None)


def test_mask_png_layouts_are_found(tmp_path: Path) -> None:
    root = made(tmp_path, "PNGImages/a.png", "PedMasks/a_mask.png")
    assert find_mask_png_layout(root) == (root / "PNGImages", root / "PedMasks")


def test_an_unknown_layout_lists_what_was_looked_for_and_found(tmp_path: Path) -> None:
    root = made(tmp_path, "pictures/a.jpg")
    with pytest.raises(DataError, match=r"train2017/ with annotations/instances_train2017\.json(.|\n)*holds: pictures"):
        find_coco_layout(root)
    with pytest.raises(DataError, match="PNGImages/ with PedMasks/"):
        find_mask_png_layout(root)
    with pytest.raises(DataError, match="there is nothing"):
        find_coco_layout(root / "nowhere")


@needs_shared_data
@pytest.mark.parametrize("name", ["nuclei", "balloon", "coco_mini"])
def test_real_sets_lie_in_a_usual_layout(name: str) -> None:
    assert all(path is not None and path.exists() for path in find_coco_layout(SHARED / name))
