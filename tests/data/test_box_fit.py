"""Annotated boxes against the extents of their masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskrcnn_exp.data.box_fit import LOOKED_AT, box_fit
from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.data.target import BoxFit
from tests.data.coco_files import annotation, image, write_coco

EXTENT = np.array([[10.0, 10.0, 20.0, 20.0]])


def fit_of(*boxes: tuple[float, float, float, float]) -> BoxFit:
    found = box_fit((np.array([box]), EXTENT) for box in boxes)
    assert found is not None
    return found


def test_extents_fit_and_so_does_rounding_to_whole_pixels() -> None:
    assert fit_of((10, 10, 20, 20)) == BoxFit(looked_at=1, off=0, beside=0, median_iou=1, median_size=1)
    assert fit_of((9, 9, 22, 22)).off == 0  # IoU 0.83, each edge off by a pixel


def test_loose_boxes_are_off_and_those_elsewhere_beside() -> None:
    found = fit_of((10, 10, 20, 20), (10, 10, 30, 20), (40, 10, 20, 20), (10, 10, 40, 40))
    assert (found.off, found.beside) == (0.75, 0.5)
    assert found.median_iou == pytest.approx((0.25 + 2 / 3) / 2, abs=1e-4)


def test_masks_that_shrank_are_small_for_their_boxes() -> None:
    assert fit_of((0, 0, 40, 40)).median_size == 0.25


def test_annotations_without_a_box_are_not_compared() -> None:
    assert box_fit([(np.full((1, 4), np.nan), EXTENT)]) is None
    assert box_fit([]) is None
    found = box_fit([(np.full((1, 4), np.nan), EXTENT), (EXTENT, EXTENT)])
    assert found is not None
    assert found.looked_at == 1


def dataset(folder: Path, *entries: dict[str, Any]) -> CocoDataset:
    images = [image(number) for number in range(1, 1 + max(entry["image_id"] for entry in entries))]
    return CocoDataset.open(write_coco(folder, images, list(entries)), folder)


def test_a_dataset_says_how_its_boxes_fit(tmp_path: Path) -> None:
    fits, off = annotation(1, 1), annotation(2, 1, bbox=[2, 3, 16, 7])
    summary = dataset(tmp_path, fits, off).summary()
    assert summary.boxes == BoxFit(looked_at=2, off=0.5, beside=0.5, median_iou=0.6071, median_size=0.6071)


def test_many_instances_are_looked_at_evenly_over_the_pictures(tmp_path: Path) -> None:
    many = [annotation(number, 1 + number % 3, bbox=[2, 3, 6, 4 + 4 * (number % 3 == 0)]) for number in range(1000)]
    boxes = dataset(tmp_path, *many).summary().boxes
    assert boxes is not None
    assert LOOKED_AT / 2 <= boxes.looked_at <= LOOKED_AT
    assert boxes.off == pytest.approx(1 / 3, abs=0.01)


def test_annotations_that_were_left_out_are_counted_apart_from_pictures(tmp_path: Path) -> None:
    bad = [annotation(2, 1, category_id=9), annotation(3, 2, category_id=9)]
    summary = dataset(tmp_path, annotation(1, 1), *bad).summary()
    assert sum(map(len, summary.left_out.values())) == 3  # with the picture that lost its only one
    assert summary.annotations_left_out == 2
