"""Pasting masks: the same pixels as torchvision's, straight into run-length codes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle_codec
from torchvision.models.detection.roi_heads import paste_masks_in_image

from maskrcnn_exp.engine import mask_rle
from maskrcnn_exp.engine.mask_rle import paste_rles

HEIGHT, WIDTH = 61, 83
Box = tuple[float, float, float, float]


def by_torchvision(mask_probs: torch.Tensor, box: torch.Tensor, threshold: float) -> np.ndarray:
    """One mask [1, 1, r, r] in its box [1, 4], bool [HEIGHT, WIDTH]."""
    try:
        pasted = paste_masks_in_image(mask_probs, box, (HEIGHT, WIDTH))
    except RuntimeError:  # torchvision cannot paste what misses the picture
        return np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    return (pasted[0, 0] > threshold).numpy()


def assert_like_torchvision(boxes_xyxy: torch.Tensor, mask_probs: torch.Tensor, threshold: float = 0.5) -> None:
    rles = paste_rles(mask_probs[:, 0].numpy(), boxes_xyxy, HEIGHT, WIDTH, threshold)
    assert len(rles) == len(boxes_xyxy)
    for number, rle in enumerate(rles):
        one = slice(number, number + 1)
        expected = by_torchvision(mask_probs[one], boxes_xyxy[one], threshold)
        # Equal codes, not only equal pixels: the evaluator's IoU reads the runs.
        assert rle == rle_codec.encode(np.asfortranarray(expected, dtype=np.uint8)), boxes_xyxy[number]


def noise(count: int, resolution: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 1, resolution, resolution, generator=torch.Generator().manual_seed(seed))


def discs(count: int, resolution: int = 28) -> torch.Tensor:
    """What a mask head gives: high inside, low outside, an edge some samples wide."""
    place = torch.linspace(-1, 1, resolution)
    radius = torch.linspace(0.4, 0.9, count)[:, None, None]
    return torch.sigmoid(12 * (radius - torch.hypot(place[:, None], place[None])))[:, None]


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
        (3.0, 4.0, 32.0, 33.0),  # as many pixels as samples: nothing is resized
        (4.0, 60.5, 9.0, 61.0),  # the last row alone
    ],
)
@pytest.mark.parametrize("resolution", [14, 28])
@pytest.mark.parametrize("masks", [noise, discs])
def test_pasted_pixels_equal_torchvisions(box: Box, resolution: int, masks: object) -> None:
    mask_probs = noise(1, resolution, seed=0) if masks is noise else discs(1, resolution)
    assert_like_torchvision(torch.tensor([box]), mask_probs)


@st.composite
def odd_boxes(draw: st.DrawFn) -> Box:
    """Inside, over the edges, outside, thinner than a pixel, many times the picture."""
    x, y = (draw(st.floats(-1.5, 2.5, width=32)) * side for side in (WIDTH, HEIGHT))
    wide, high = (draw(st.sampled_from([0.0, 0.3, 1.0, 7.5, 30.0, 90.0, 700.0])) for _ in range(2))
    return (x, y, x + wide * draw(st.floats(0, 1, width=32)), y + high * draw(st.floats(0, 1, width=32)))


@given(
    boxes=st.lists(odd_boxes(), min_size=1, max_size=6),
    resolution=st.sampled_from([1, 2, 7, 28]),
    seed=st.integers(0, 9),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_any_box_pastes_as_in_torchvision(boxes: list[Box], resolution: int, seed: int) -> None:
    assert_like_torchvision(torch.tensor(boxes), noise(len(boxes), resolution, seed))


@given(exponent=st.integers(-24, -2), side=st.floats(3, 150, width=32), seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_values_next_to_the_threshold_round_as_in_torchvision(exponent: int, side: float, seed: int) -> None:
    sign = (noise(4, 14, seed) > 0.5).float() * 2 - 1
    mask_probs = 0.5 + sign * noise(4, 14, seed + 1) * 2.0**exponent
    boxes_xyxy = torch.tensor([[1.3, 2.1, 1.3 + side, 2.1 + side * (0.4 + 0.2 * number)] for number in range(4)])
    assert_like_torchvision(boxes_xyxy, mask_probs)


@given(steps=st.sampled_from([1, 2, 4, 8]), seed=st.integers(0, 99), threshold=st.sampled_from([0.25, 0.5, 0.75]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_values_on_the_threshold_are_not_above_it(steps: int, seed: int, threshold: float) -> None:
    mask_probs = torch.round(noise(3, 7, seed) * steps) / steps
    assert_like_torchvision(torch.tensor([[1.0, 2, 60, 50], [5, 5, 12, 12], [-7, 3, 20.5, 70]]), mask_probs, threshold)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9, 1.0])
def test_any_threshold_pastes_as_in_torchvision(threshold: float) -> None:
    assert_like_torchvision(torch.tensor([[3.2, 4.1, 50.9, 44.4]]), noise(1, 28, seed=2), threshold)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5, 1.5])
def test_numbers_that_are_no_probabilities_paste_as_in_torchvision(value: float) -> None:
    mask_probs = noise(3, 28, seed=3)
    mask_probs[1, 0, 10:14, 12] = value
    assert_like_torchvision(torch.tensor([[3.2, 4.1, 50.9, 44.4]]).repeat(3, 1), mask_probs)


def test_full_mask_of_the_whole_picture_has_one_run() -> None:
    far_outside = torch.tensor([[-200.0, -200.0, 300.0, 300.0]])
    (rle,) = paste_rles(np.ones((1, 28, 28), dtype=np.float32), far_outside, HEIGHT, WIDTH, 0.5)
    assert rle_codec.area(rle) == HEIGHT * WIDTH
    assert rle == rle_codec.encode(np.ones((HEIGHT, WIDTH), dtype=np.uint8, order="F"))


@pytest.mark.parametrize("box", [(200, 10, 240, 30), (-90, 10, -40, 30), (5, 99, 20, 130), (5, -60, 20, -20)])
def test_box_that_misses_the_picture_has_an_empty_mask(box: Box) -> None:
    boxes_xyxy = torch.tensor([(10, 10, 40, 40), box, (20, 20, 50, 50)], dtype=torch.float32)
    before, missing, behind = paste_rles(np.ones((3, 28, 28), dtype=np.float32), boxes_xyxy, HEIGHT, WIDTH, 0.5)
    assert missing == rle_codec.encode(np.zeros((HEIGHT, WIDTH), dtype=np.uint8, order="F"))
    assert rle_codec.area(before) > 0
    assert rle_codec.area(behind) > 0


def test_no_detections_have_no_masks() -> None:
    assert paste_rles(np.zeros((0, 28, 28), dtype=np.float32), torch.zeros(0, 4), HEIGHT, WIDTH, 0.5) == []


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="must be 0 … 1"):
        paste_rles(np.ones((1, 28, 28), dtype=np.float32), torch.tensor([[1.0, 1, 9, 9]]), HEIGHT, WIDTH, threshold)


def test_an_ordinary_mask_is_not_resized_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    resized = []
    by_torch = mask_rle._toggles_by_torch
    monkeypatch.setattr(mask_rle, "_toggles_by_torch", lambda *args: resized.append(1) or by_torch(*args))
    corner = torch.linspace(-20, 200, 200)
    boxes_xyxy = torch.stack([corner, corner, corner * 1.3 + 60, corner * 1.2 + 90], dim=1)
    paste_rles(discs(200)[:, 0].numpy(), boxes_xyxy, 300, 300, 0.5)
    assert len(resized) <= 10
    paste_rles(np.full((1, 28, 28), 0.5, dtype=np.float32), boxes_xyxy[:1], 300, 300, 0.5)
    assert resized  # the patch counts


def test_memory_does_not_grow_with_the_number_of_detections() -> None:
    """100 full-size float masks of 640 × 640 take 164 MB."""
    boxes_xyxy = torch.tensor([[2.0, 3.0, 630.0, 620.0]]).repeat(100, 1)
    mask_probs = discs(100)[:, 0].numpy()
    paste_rles(mask_probs[:1], boxes_xyxy[:1], 640, 640, 0.5)
    tracemalloc.start()
    paste_rles(mask_probs, boxes_xyxy, 640, 640, 0.5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6
