"""Boundary AP: equal to the published definition, drawn out pixel by pixel, and to numbers worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from faster_coco_eval.core.coco import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle_codec

from maskrcnn_exp.engine.boundary import boundary_ap, boundary_iou, find_boundary
from maskrcnn_exp.engine.coco_ap import Detections, evaluate_coco
from maskrcnn_exp.engine.greedy_matching import find_overlaps
from tests.engine.test_coco_ap import A, B, found, random_case, rectangle, truth


def encode(mask: Any) -> dict[str, Any]:
    code: dict[str, Any] = rle_codec.encode(np.asfortranarray(mask.astype(np.uint8)))
    return code


def drawn(rle: dict[str, Any]) -> Any:
    """The boundary in the whole picture."""
    boundary = find_boundary(rle)
    picture = np.zeros(rle["size"], dtype=bool)
    rows, columns = boundary.pixels.shape
    picture[boundary.top : boundary.top + rows, boundary.left : boundary.left + columns] = boundary.pixels
    return picture


def published(mask: Any) -> Any:
    """The definition: pixels of the mask that d erosions by a 3 × 3 square, with nothing outside, take away."""
    reach = max(1, round(0.02 * math.hypot(*mask.shape)))
    eroded = np.pad(mask, 1)
    for _ in range(reach):
        around = np.pad(eroded, 1)
        height, width = eroded.shape
        shifts = [around[y : y + height, x : x + width] for y in range(3) for x in range(3)]
        eroded = np.logical_and.reduce(shifts)
    return mask & ~eroded[1:-1, 1:-1]


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 160), width=st.integers(1, 160), seed=st.integers(0, 99), cell=st.integers(1, 40))
def test_a_boundary_is_what_the_published_definition_says(height: int, width: int, seed: int, cell: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // cell + 1, width // cell + 1)) < 0.6
    mask = np.kron(coarse, np.ones((cell, cell), dtype=bool))[:height, :width]
    if not mask.any():
        return
    np.testing.assert_array_equal(drawn(encode(mask)), published(mask))


def test_the_boundary_of_a_square_is_a_ring_as_wide_as_the_diagonal_says() -> None:
    # 120 × 150 pixels: diagonal 192.1, 2 % are 3.84, so d = 4. Of 40 × 40 pixels 32 × 32 are inside.
    assert drawn(rectangle((10, 10, 50, 50))).sum() == 40 * 40 - 32 * 32


def test_the_pictures_edge_is_an_outline() -> None:
    assert drawn(rectangle((0, 0, 150, 120))).sum() == 150 * 120 - 142 * 112


def test_two_squares_one_pixel_apart_worked_by_hand() -> None:
    # 40 × 40 each, rings 4 wide. They share 39 × 40 pixels; of these, 33 × 32 are inside of one or the other:
    # 1560 - 1056 = 504. Each ring has 576: 504 / (2 · 576 - 504) = 0.7778. Mask IoU: 1560 / 1640 = 0.9512.
    one, other = find_boundary(rectangle((10, 10, 50, 50))), find_boundary(rectangle((11, 10, 51, 50)))
    assert boundary_iou(one, other) == pytest.approx(504 / 648)
    assert boundary_iou(one, find_boundary(rectangle((60, 60, 90, 90)))) == 0
    # So the pair matches at 0.50 … 0.75, six of the ten thresholds, where by masks it matches at all ten.
    ground_truth, detections = truth([(0, 1, (10, 10, 50, 50), 0)]), [found(0, [((11, 10, 51, 50), 1, 0.9)])]
    result = boundary_ap(find_overlaps(ground_truth, detections, "segm"))
    assert vars(result) == pytest.approx({"AP": 0.6, "AP50": 1.0, "AP75": 1.0})
    assert evaluate_coco(ground_truth, detections).segm["AP"] == pytest.approx(1.0)


def by_faster_coco_eval(ground_truth: dict[str, Any], detections: list[Detections]) -> list[float]:
    annotations = [
        {
            "id": number,
            "image_id": item.image_index,
            "category_id": int(item.labels[row]),
            "score": float(item.scores[row]),
            "segmentation": item.rles[row],
            "bbox": [0, 0, 1, 1],
            "area": 1.0,
            "iscrowd": 0,
        }
        for number, (item, row) in enumerate(
            ((item, row) for item in detections for row in range(len(item.labels))), start=1
        )
    ]
    truth_coco = COCO({**ground_truth, "annotations": [dict(item) for item in ground_truth["annotations"]]})
    found_coco = COCO({**ground_truth, "annotations": annotations})
    evaluator = COCOeval_faster(truth_coco, found_coco, "boundary", print_function=lambda *_: None)
    evaluator.run()
    return [float(value) for value in evaluator.stats[:3]]


@pytest.mark.parametrize("crowd", [0.0, 0.4])
@pytest.mark.parametrize("seed", [0, 1])
def test_boundary_ap_equals_faster_coco_evals(seed: int, crowd: float) -> None:
    ground_truth, detections = random_case(seed, instances=4, detections=10, crowd=crowd)
    result = boundary_ap(find_overlaps(ground_truth, detections, "segm"))
    expected = by_faster_coco_eval(ground_truth, detections)
    assert list(vars(result).values()) == pytest.approx(expected, abs=1e-12)
    assert 0 < result.AP < evaluate_coco(ground_truth, detections).segm["AP"]


def test_perfect_masks_have_a_boundary_ap_of_one_and_no_object_none() -> None:
    perfect = find_overlaps(truth([(0, 1, A, 0), (0, 1, B, 0)]), [found(0, [(A, 1, 0.9), (B, 1, 0.8)])], "segm")
    assert vars(boundary_ap(perfect)) == pytest.approx({"AP": 1.0, "AP50": 1.0, "AP75": 1.0})
    assert boundary_ap(find_overlaps(truth([]), [found(0, [(A, 1, 0.9)])], "segm")).AP == -1
