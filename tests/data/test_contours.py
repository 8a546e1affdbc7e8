"""Outlines of masks: drawn by COCO's tools they give the mask back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.contours import polygons_of

# pycocotools 2.0.11 under numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def drawn(parts: list[NDArray[np.float64]], height: int, width: int) -> NDArray[np.uint8]:
    rles = coco_mask.frPyObjects([part.ravel().tolist() for part in parts], height, width)
    mask: NDArray[np.uint8] = coco_mask.decode(coco_mask.merge(rles))
    return mask


def iou(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float((one & other).sum() / (one | other).sum())


def blob(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """A wobbly disc."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] + 0.5
    y, x = rows - height * rng.uniform(0.3, 0.7), columns - width * rng.uniform(0.3, 0.7)
    angle = np.arctan2(y, x)
    radius = min(height, width) * (0.3 + 0.05 * np.cos(3 * angle + rng.uniform(0, 6)))
    return (np.hypot(x, y) < radius).astype(np.uint8)


@settings(max_examples=50, deadline=None)
@given(height=st.integers(24, 90), width=st.integers(24, 90), seed=st.integers(0, 1000))
def test_an_outline_gives_the_mask_back(height: int, width: int, seed: int) -> None:
    mask = blob(height, width, seed)
    (part,) = polygons_of(mask)
    assert iou(drawn([part], height, width), mask) > 0.93
    assert len(part) < 60  # simplified
    assert part.min() >= 0
    assert (part.max(axis=0) <= (width, height)).all()


def test_a_rectangle_has_its_corners_in_pixels() -> None:
    mask = np.zeros((20, 30), dtype=np.uint8)
    mask[5:15, 10:25] = 1
    (part,) = polygons_of(mask)
    assert part.min(axis=0) == pytest.approx([10, 5], abs=0.01)
    assert part.max(axis=0) == pytest.approx([25, 15], abs=0.01)
    assert (drawn([part], 20, 30) == mask).mean() > 0.98


def test_parts_come_largest_first_and_holes_are_left_out() -> None:
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[2:8, 2:8] = 1
    mask[15:35, 15:35] = 1
    mask[22:28, 22:28] = 0
    large, small = polygons_of(mask)
    assert large.min() > 14
    assert small.max() < 9


def test_a_mask_to_the_pictures_edge_and_an_empty_one() -> None:
    (part,) = polygons_of(np.ones((10, 12), dtype=np.uint8))
    assert part.min() == 0
    assert part.max(axis=0).tolist() == [12, 10]
    assert polygons_of(np.zeros((10, 12), dtype=np.uint8)) == []
