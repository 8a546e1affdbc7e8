"""Suppression level by level, one picture after the other and all at once, against torchvision's."""

from __future__ import annotations

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torchvision.ops import boxes as box_ops

from maskrcnn_exp.model.suppression import suppress_at_once, suppress_per_level
from tests.model.rpn_cases import Box, as_tensor, box_strategy


@settings(max_examples=60, deadline=None)
@given(
    levels=st.lists(st.lists(box_strategy(16), max_size=12), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    scores_tie=st.booleans(),
    threshold=st.sampled_from([0.0, 0.3, 0.7]),
    all_usable=st.booleans(),
    mixed=st.booleans(),
)
@example(levels=[[], []], seed=0, scores_tie=False, threshold=0.7, all_usable=True, mixed=False)
def test_suppression_is_torchvisions(
    levels: list[list[Box]], seed: int, scores_tie: bool, threshold: float, all_usable: bool, mixed: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    counts = [len(level) for level in levels]
    boxes, total = as_tensor([box for level in levels for box in level]), sum(counts)
    scores = torch.randperm(total, generator=generator).float() / 100
    scores = (scores * 30).floor() / 30 if scores_tie else scores
    usable = torch.ones(total, dtype=torch.bool) if all_usable else torch.rand(total, generator=generator) < 0.7
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        kept = suppress_per_level(boxes, scores, usable, counts, threshold)
    level_of = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    of_usable = box_ops._batched_nms_vanilla(boxes[usable], scores[usable], level_of[usable], threshold)
    expected = boxes[usable][of_usable]
    if scores_tie:  # torchvision's last sort is not stable
        assert sorted(kept.tolist()) == sorted(expected.tolist())
    else:
        assert torch.equal(kept, expected)


def test_suppression_worked_by_hand() -> None:
    boxes = as_tensor([(0, 0, 10, 10), (0, 0, 10, 9), (20, 0, 30, 10), (0, 0, 10, 10)])
    scores, counts = torch.tensor([0.5, 0.9, 0.1, 0.7]), [3, 1]
    usable = torch.tensor([True, True, True, True])
    # The second suppresses the first (IoU 0.9); the last is on another level.
    assert torch.equal(suppress_per_level(boxes, scores, usable, counts, 0.7), boxes[[1, 3, 2]])
    usable[1] = False  # and then it neither stays nor suppresses
    assert torch.equal(suppress_per_level(boxes, scores, usable, counts, 0.7), boxes[[3, 0, 2]])


@settings(max_examples=80, deadline=None)
@given(
    pictures=st.integers(1, 4),
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    seed=st.integers(0, 999),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7]),
    usable_share=st.sampled_from([0.0, 0.7, 1.0]),
    most=st.sampled_from([3, 1000]),
)
def test_all_pictures_at_once_keep_what_each_keeps_alone(
    pictures: int, counts: list[int], seed: int, threshold: float, usable_share: float, most: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    total = sum(counts)
    corners = torch.rand(pictures, total, 2, generator=generator) * 20
    boxes = torch.cat([corners, corners + torch.rand(pictures, total, 2, generator=generator) * 12], dim=2)
    levels = [torch.rand(pictures, count, generator=generator) for count in counts]
    scores = torch.cat([level.sort(dim=1, descending=True).values for level in levels], dim=1)
    usable = torch.rand(pictures, total, generator=generator) < usable_share
    found = suppress_at_once(boxes, scores, usable, counts, threshold, most)
    for kept, *of_picture in zip(found, boxes, scores, usable, strict=True):
        assert torch.equal(kept, suppress_per_level(*of_picture, counts, threshold)[:most])


def test_a_long_chain_of_overlaps_is_followed_to_its_end() -> None:
    """Each box overlaps the next alone: every second one stays, and each depends on all before it."""
    starts = torch.arange(90.0)
    boxes = torch.stack([starts, torch.zeros(90), starts + 3, torch.ones(90)], dim=1)[None]  # IoU 2 / 4 with the next
    scores = torch.linspace(1, 0.1, 90)[None]
    (kept,) = suppress_at_once(boxes, scores, torch.ones(1, 90, dtype=torch.bool), [90], 0.4, 1000)
    assert torch.equal(kept, boxes[0, ::2])
