"""The regions that the heads learn from against torchvision's own choice of them."""

from __future__ import annotations

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torchvision.models.detection.roi_heads import RoIHeads

from maskrcnn_exp.model.region_samples import select_regions
from maskrcnn_exp.model.sampling import BalancedSampler
from tests.model.rpn_cases import Box, as_tensor, box_strategy

Picture = tuple[list[Box], list[Box]]
BOX = box_strategy(16)


def heads(high: float, low: float, sampler: BalancedSampler) -> RoIHeads:
    made = RoIHeads(None, None, None, high, low, 8, 0.25, None, 0.05, 0.5, 100)
    made.fg_bg_sampler = sampler
    return made


@settings(max_examples=80, deadline=None)
@given(
    pictures=st.lists(st.tuples(st.lists(BOX, max_size=30), st.lists(BOX, max_size=4)), min_size=1, max_size=4),
    thresholds=st.sampled_from([(0.5, 0.5), (0.5, 0.25)]),
    size=st.sampled_from([4, 64]),
)
@example(pictures=[([(0, 0, 4, 4)], []), ([(0, 0, 4, 4)], [])], thresholds=(0.5, 0.5), size=4)  # no object anywhere
@example(pictures=[([(0, 0, 8, 2.5)], [(0, 0, 8, 8)])], thresholds=(0.5, 0.25), size=64)  # neither: between the two
@example(pictures=[([], [(0, 0, 4, 4)]), ([], [])], thresholds=(0.5, 0.5), size=4)  # no proposal anywhere
def test_regions_are_torchvisions(pictures: list[Picture], thresholds: tuple[float, float], size: int) -> None:
    proposals = [as_tensor(boxes) for boxes, _ in pictures]
    targets = [
        {"boxes": as_tensor(objects), "labels": torch.arange(len(objects)) + 1, "masks": torch.zeros(0)}
        for _, objects in pictures
    ]
    sampler = BalancedSampler(size, 0.25, salt=1)
    sampler.seeds = list(range(len(pictures)))
    plain = heads(*thresholds, sampler)
    expected = plain.select_training_samples(list(proposals), targets)
    found = select_regions(proposals, targets, plain.proposal_matcher, sampler, plain.box_coder)
    for name, ours, theirs in zip(("boxes", "matched", "labels", "codes"), found, expected, strict=True):
        assert [len(picture) for picture in ours] == [len(picture) for picture in theirs], name
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert one.dtype == other.dtype
            assert torch.equal(one.nan_to_num(nan=7), other.nan_to_num(nan=7)), (name, number)
