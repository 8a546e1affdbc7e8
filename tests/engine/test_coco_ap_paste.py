"""Pasting masks: the same pixels as torchvision's, straight into run-length codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle_codec
from torchvision.models.detection.roi_heads import paste_masks_in_image

from maskrcnn_exp.engine.coco_ap import encode_detections

HEIGHT, WIDTH = 61, 83


def assert_like_torchvision(boxes_xyxy: torch.Tensor, resolution: int, seed: int, threshold: float = 0.5) -> None:
    generator = torch.Generator().manual_seed(seed)
    count = len(boxes_xyxy)
    mask_probs = torch.rand(count, 1, resolution, resolution, generator=generator)
    encoded = encode_detections(
        4, boxes_xyxy, torch.ones(count), torch.rand(count), mask_probs, HEIGHT, WIDTH, threshold
    )
    expected = paste_masks_in_image(mask_probs, boxes_xyxy, (HEIGHT, WIDTH))[:, 0] > threshold  # [k, h, w]
    assert len(encoded.rles) == count
    for rle, mask in zip(encoded.rles, expected.numpy(), strict=True):
        # Equal codes, not only equal pixels: the evaluator's IoU reads the runs.
        assert rle == rle_codec.encode(np.asfortranarray(mask, dtype=np.uint8))


@pytest.mark.parametrize(
    "box",
    [
        (10.3, 7.8, 40.2, 33.1),
        (0.0, 0.0, WIDTH, HEIGHT),  # the whole picture
        (-20.0, -9.5, 30.0, 20.0),  # over two edges
        (60.0, 40.0, 120.0, 99.0),  # over the other two
        (-30.0, -30.0, 200.0, 200.0),  # wider than the picture on every side
        (5.0, 5.0, 5.4, 5.3),  # less than a pixel
        (82.9, 60.9, 83.0, 61.0),  # the last pixel
        (20.0, 0.0, 21.0, HEIGHT),  # a full column: its run goes on into the next one
    ],
)
@pytest.mark.parametrize("resolution", [14, 28])
def test_pasted_pixels_equal_torchvisions(box: tuple[float, float, float, float], resolution: int) -> None:
    assert_like_torchvision(torch.tensor([box]), resolution, seed=0)


@given(
    corners=st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 4), min_size=1, max_size=4),
    resolution=st.sampled_from([1, 7, 28]),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_box_pastes_as_in_torchvision(
    corners: list[tuple[float, float, float, float]], resolution: int, seed: int
) -> None:
    scale = torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    drawn = torch.tensor(corners) * scale  # [k, 4]
    boxes_xyxy = torch.cat([torch.minimum(drawn[:, :2], drawn[:, 2:]), torch.maximum(drawn[:, :2], drawn[:, 2:])], 1)
    assert_like_torchvision(boxes_xyxy, resolution, seed)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9, 1.0])
def test_any_threshold_pastes_as_in_torchvision(threshold: float) -> None:
    assert_like_torchvision(torch.tensor([[3.2, 4.1, 50.9, 44.4]]), 28, seed=2, threshold=threshold)


def test_full_mask_of_the_whole_picture_has_one_run() -> None:
    ones = torch.ones(1, 1, 28, 28)
    far_outside = torch.tensor([[-200.0, -200.0, 300.0, 300.0]])
    encoded = encode_detections(0, far_outside, torch.ones(1), torch.ones(1), ones, HEIGHT, WIDTH)
    assert rle_codec.area(encoded.rles[0]) == HEIGHT * WIDTH
    assert encoded.rles[0] == rle_codec.encode(np.ones((HEIGHT, WIDTH), dtype=np.uint8, order="F"))


def test_box_that_misses_the_picture_has_an_empty_mask() -> None:
    outside = torch.tensor([[200.0, 10.0, 240.0, 30.0]])
    encoded = encode_detections(0, outside, torch.ones(1), torch.ones(1), torch.ones(1, 1, 28, 28), HEIGHT, WIDTH)
    assert encoded.rles[0] == rle_codec.encode(np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F"))


def test_detections_keep_order_and_types() -> None:
    boxes_xyxy = torch.tensor([[1.0, 2, 30, 40], [5, 5, 20, 20]], requires_grad=True)
    encoded = encode_detections(
        9, boxes_xyxy, torch.tensor([3, 1]), torch.tensor([0.25, 0.75]), torch.rand(2, 1, 28, 28), HEIGHT, WIDTH
    )
    assert encoded.image_index == 9
    assert encoded.boxes_xyxy.dtype == np.float32
    assert encoded.boxes_xyxy.tolist() == [[1, 2, 30, 40], [5, 5, 20, 20]]
    assert encoded.labels.dtype == np.int64
    assert encoded.labels.tolist() == [3, 1]
    assert encoded.scores.dtype == np.float32
    assert encoded.scores.tolist() == [0.25, 0.75]
    assert all(isinstance(rle["counts"], bytes) and rle["size"] == [HEIGHT, WIDTH] for rle in encoded.rles)


def test_no_detections_give_empty_arrays() -> None:
    encoded = encode_detections(
        0, torch.zeros(0, 4), torch.zeros(0), torch.zeros(0), torch.zeros(0, 1, 28, 28), HEIGHT, WIDTH
    )
    assert encoded.boxes_xyxy.shape == (0, 4)
    assert (len(encoded.labels), len(encoded.scores), encoded.rles) == (0, 0, [])
