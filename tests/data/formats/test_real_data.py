"""Real data survives the way through each format: the same pictures, classes and counts, the same masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_exp.data.build import open_datasets
from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.schema import ConvertedConfig, LabelmeConfig, VocConfig, YoloSegConfig
from tests.data.formats.real import Annotated, Mask, annotated, write_labelme, write_voc, write_yolo
from tests.shared_data import needs_shared_data

pytestmark = needs_shared_data

Writer = Callable[[Path, list[Annotated], list[str]], Path]


def read(config: ConvertedConfig) -> list[tuple[str, list[int], list[Mask]]]:
    """Name, labels and masks of each picture, of both splits."""
    found = []
    for dataset in open_datasets(config):
        assert not dataset.summary().left_out
        found += [_picture(dataset, index) for index in range(len(dataset))]
    return sorted(found)


def _picture(dataset: InstanceDataset, index: int) -> tuple[str, list[int], list[Mask]]:
    target = dataset.load(index).target
    return Path(str(dataset.image_id(index))).name, target["labels"].tolist(), list(target["masks"].numpy())


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def worst(pictures: list[Annotated], found: list[tuple[str, list[int], list[Mask]]]) -> float:
    """The least IoU of an object with itself; names, classes and counts must be the same."""
    expected = sorted(pictures, key=lambda one: one.picture.name)
    assert [name for name, _, _ in found] == [one.picture.name for one in expected]
    assert [labels for _, labels, _ in found] == [one.labels for one in expected]
    pairs = zip(expected, found, strict=True)
    return min(iou(*both) for one, (_, _, masks) in pairs for both in zip(one.masks, masks, strict=True))


@pytest.mark.parametrize(("name", "least"), [("balloon", 0.99), ("coco_mini", 0.9)])
def test_yolo_polygons(name: str, least: float, tmp_path: Path) -> None:
    """Six digits are a thousandth of a pixel; what differs are pixels on the edge, and lines between parts."""
    pictures, names = annotated(name, 14)
    pictures = [one for one in pictures if all(isinstance(outline, list) for outline in one.outlines)]
    found = read(YoloSegConfig(root=str(write_yolo(tmp_path, pictures, names))))
    assert worst(pictures, found) > least


@pytest.mark.parametrize("name", ["balloon", "coco_mini", "nuclei"])
def test_labelme_polygons_groups_and_masks_are_exact(name: str, tmp_path: Path) -> None:
    pictures, names = annotated(name, 14)
    write_labelme(tmp_path, pictures, names)
    (tmp_path / "labels.txt").write_text("\n".join(["__ignore__", "_background_", *names]))
    assert worst(pictures, read(LabelmeConfig(root=str(tmp_path)))) == 1


def test_voc_masks_are_exact_where_they_do_not_overlap_and_void_is_no_object(tmp_path: Path) -> None:
    pictures, names = annotated("nuclei", 6)
    write_voc(tmp_path, pictures, names)
    assert worst(pictures, read(VocConfig(root=str(tmp_path)))) == 1


def test_voc_classes_come_from_the_pixels_of_the_object(tmp_path: Path) -> None:
    pictures, names = annotated("coco_mini", 12)
    write_voc(tmp_path, pictures, names)
    found = read(VocConfig(root=str(tmp_path)))
    for one, (_, labels, masks) in zip(sorted(pictures, key=lambda one: one.picture.name), found, strict=True):
        visible = [
            mask & ~np.bitwise_or.reduce([np.zeros_like(mask), *one.masks[n + 1 :]]) for n, mask in enumerate(one.masks)
        ]
        expected = [(label, mask) for label, mask in zip(one.labels, visible, strict=True) if mask.any()]
        assert labels == [label for label, _ in expected]
        assert all(np.array_equal(mask, seen) for mask, (_, seen) in zip(masks, expected, strict=True))
