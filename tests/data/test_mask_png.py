"""Folders of instance-id PNGs: matched by name, checked at opening, exact to the pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskrcnn_exp.data.id_masks import read_ids
from maskrcnn_exp.data.mask_png import MaskPngDataset
from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.errors import DataError
from tests.data.coco_files import write_picture
from tests.data.conformance import DatasetConformance

IDS = np.zeros((10, 20), dtype=np.uint8)
IDS[1:4, 2:9] = 1
IDS[6:9, 10:15] = 3  # numbers may have gaps


def folders(root: Path, names: list[str], ids: np.ndarray[Any, Any] = IDS, suffix: str = "_mask") -> tuple[Path, Path]:
    """`images/<name>.jpg` and `masks/<name><suffix>.png`."""
    for name in names:
        write_picture(root / "images" / f"{name}.jpg", ids.shape[1], ids.shape[0])
        write_ids(root / "masks" / f"{name}{suffix}.png", ids)
    return root / "images", root / "masks"


def write_ids(path: Path, ids: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids).save(path)


class TestConformance(DatasetConformance):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> InstanceDataset:
        folders(tmp_path, ["two", "one"])
        return MaskPngDataset.open(*folders(tmp_path, ["empty"], np.zeros_like(IDS)), "person")


@pytest.mark.parametrize("suffix", ["", "_mask"])
def test_each_number_is_one_instance(tmp_path: Path, suffix: str) -> None:
    dataset = MaskPngDataset.open(*folders(tmp_path, ["a"], suffix=suffix), "person")
    target = dataset.load(0).target
    assert target["boxes"].tolist() == [[2, 1, 9, 4], [10, 6, 15, 9]]
    assert target["masks"].sum((1, 2)).tolist() == [21, 15]
    assert dataset.annotation_ids(0) == [f"a{suffix}.png:1", f"a{suffix}.png:3"]
    assert dataset.image_id(0) == "a.jpg"
    assert [category.name for category in dataset.categories] == ["person"]


def test_palette_and_sixteen_bit_masks_are_read_as_numbers(tmp_path: Path) -> None:
    palette = Image.fromarray(IDS, mode="P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 9])
    palette.save(tmp_path / "palette.png")
    write_ids(tmp_path / "wide.png", IDS.astype(np.uint16) * 300)
    assert np.array_equal(read_ids(tmp_path / "palette.png"), IDS)
    assert np.array_equal(read_ids(tmp_path / "wide.png"), IDS.astype(np.int32) * 300)


def test_bad_pairs_are_left_out_by_name(tmp_path: Path) -> None:
    images, masks = folders(tmp_path, ["good", "size", "damaged", "colour", "alone", "picture"])
    write_ids(masks / "size_mask.png", IDS[:5])
    (masks / "damaged_mask.png").write_bytes(b"no picture")
    write_picture(masks / "colour_mask.png")
    (masks / "alone_mask.png").unlink()
    (images / "picture.jpg").write_bytes(b"no picture")
    write_ids(masks / "stray.png", IDS)
    dataset = MaskPngDataset.open(images, masks)
    assert dataset.summary().left_out == {
        "no mask": ["alone.jpg"],
        "mask has colour channels": ["colour.jpg"],
        "mask does not open": ["damaged.jpg"],
        "picture does not open": ["picture.jpg"],
        "mask and picture differ in size": ["size.jpg"],
    }
    assert [dataset.image_id(index) for index in range(len(dataset))] == ["good.jpg"]
    assert dataset.summary().notes == ("1 masks have no picture and are not used, stray.png first.",)


def test_colour_masks_alone_are_refused_with_what_is_expected(tmp_path: Path) -> None:
    images, masks = folders(tmp_path, ["a"])
    write_picture(masks / "a_mask.png")
    with pytest.raises(DataError, match=r"colour channels: 1, a\.jpg first.*one channel"):
        MaskPngDataset.open(images, masks)
    with pytest.raises(DataError, match=r"a_mask\.png: the mask is a picture of mode RGB"):
        read_ids(masks / "a_mask.png")


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    images, masks = folders(tmp_path, ["a"])
    with pytest.raises(DataError, match="no such folder of pictures"):
        MaskPngDataset.open(tmp_path / "nowhere", masks)
    with pytest.raises(DataError, match="no such folder of masks"):
        MaskPngDataset.open(images, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture in the folder"):
        MaskPngDataset.open(tmp_path / "empty", masks)


def test_negatives_go_when_asked(tmp_path: Path) -> None:
    folders(tmp_path, ["full"])
    images, masks = folders(tmp_path, ["empty"], np.zeros_like(IDS))
    assert MaskPngDataset.open(images, masks).summary().negatives == 1
    kept = MaskPngDataset.open(images, masks, keep_empty=False)
    assert kept.summary().left_out == {"no instance, and keep_empty is off": ["empty.jpg"]}
    assert len(kept) == 1


def test_a_mask_that_changes_during_the_run_is_noticed(tmp_path: Path) -> None:
    images, masks = folders(tmp_path, ["a"])
    dataset = MaskPngDataset.open(images, masks)
    write_ids(masks / "a_mask.png", np.zeros_like(IDS))
    with pytest.raises(DataError, match=r"a_mask\.png: the mask changed"):
        dataset.load(0)


def test_the_split_is_disjoint_and_whole(tmp_path: Path) -> None:
    dataset = MaskPngDataset.open(*folders(tmp_path, [f"p{number}" for number in range(10)]))
    train, val = dataset.split(0.3)
    names = [{part.image_id(index) for index in range(len(part))} for part in (train, val)]
    assert (len(names[0]), len(names[1])) == (7, 3)
    assert names[0] | names[1] == {f"p{number}.jpg" for number in range(10)}
