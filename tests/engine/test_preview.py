"""The pictures that are shown after each evaluation: always the same ones, annotated beside found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskrcnn_exp.data.drawing import COLOURS
from maskrcnn_exp.data.target import Sample, Target
from maskrcnn_exp.engine.coco_ap import encode_detections
from maskrcnn_exp.engine.preview import Preview, choose_previews, draw_preview


@pytest.mark.parametrize(
    ("count", "total", "world", "expected"),
    [(4, 100, 1, {0, 25, 50, 75}), (4, 3, 1, {0, 1, 2}), (0, 100, 1, set()), (2, 100, 4, {0, 48}), (2, 0, 1, set())],
)
def test_positions_are_spread_over_what_the_first_process_sees(
    count: int, total: int, world: int, expected: set[int]
) -> None:
    assert choose_previews(count, total, world) == expected


def preview(scores: list[float]) -> Preview:
    """A grey picture with an annotated square on its left; squares of the given scores are found on its right."""
    masks = torch.zeros(1, 80, 160, dtype=torch.uint8)
    masks[0, 30:60, 10:40] = 1
    target = Target(boxes=torch.tensor([[10.0, 30, 40, 60]]), labels=torch.tensor([2]), masks=masks)
    sample = Sample(torch.full((3, 80, 160), 90, dtype=torch.uint8), target, index=7)
    boxes = torch.tensor([[110.0, 30, 140, 60]]).repeat(len(scores), 1)
    found = encode_detections(
        7,
        boxes,
        torch.ones(len(scores), dtype=torch.int64),
        torch.tensor(scores),
        torch.ones(len(scores), 1, 28, 28),
        80,
        160,
    )
    return Preview(sample, found)


def tinted(drawn: np.ndarray, x: int, y: int) -> bool:
    """Whether a point of the picture, in its own pixels, has the first object's colour: annotated half, found half."""
    expected = 0.6 * 90 + 0.4 * np.array(COLOURS[0])
    return bool(np.abs(drawn[2 * y, x].astype(float) - expected).max() < 12)


def test_annotated_stands_left_and_found_right() -> None:
    drawn = draw_preview(preview([0.9]), ["circle", "square"])
    assert drawn.shape == (160, 2 * 320 + 4, 3)
    left, right = drawn[:, :320], drawn[:, 324:]
    assert tinted(left, 2 * 25, 45)
    assert not tinted(left, 2 * 125, 45)
    assert tinted(right, 2 * 125, 45)
    assert not tinted(right, 2 * 25, 45)


def test_what_the_model_is_not_sure_of_is_not_shown() -> None:
    drawn = draw_preview(preview([0.4]), ["circle", "square"])[:, 324:]
    assert (drawn == 90).all()
    assert (draw_preview(preview([]), ["circle", "square"])[:, 324:] == 90).all()
