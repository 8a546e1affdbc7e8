"""Augmentation: a pure function of the sample, masks and boxes always together, nothing empty."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_exp.data.masks import boxes_from_masks
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.data.transforms import PADDING_COLOUR, Augment
from maskrcnn_exp.errors import ConfigError, DataError
from tests.data.conformance import assert_same_sample

EVERYTHING = Augment(0.5, 0.5, scale_min=0.3, scale_max=3.0, photometric=0.5)


def sample(height: int = 24, width: int = 32, instances: int = 3, seed: int = 0) -> Sample:
    """Random picture; instance k is a block of its own columns."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    masks = torch.zeros((instances, height, width), dtype=torch.uint8)
    for number in range(instances):
        left = number * width // max(instances, 1)
        masks[number, number : height - number, left : left + max(width // (2 * instances), 1)] = 1
    labels = torch.arange(1, instances + 1)
    return Sample(image, {"boxes": boxes_from_masks(masks), "labels": labels, "masks": masks}, 7, seed)


sizes = st.integers(8, 48)
seeds = st.integers(0, 2**63 - 1)


@settings(max_examples=60, deadline=None)
@given(height=sizes, width=sizes, instances=st.integers(0, 4), seed=seeds, crop_size=st.sampled_from([0, 0, 16, 40]))
def test_boxes_are_extents_and_no_mask_is_empty(
    height: int, width: int, instances: int, seed: int, crop_size: int
) -> None:
    before = replace(sample(height, width, instances), seed=seed)
    after = replace(EVERYTHING, crop_size=crop_size)(before)
    target = after.target
    expected = (crop_size, crop_size) if crop_size else (height, width)
    assert after.image.shape == (3, *expected)
    assert target["masks"].shape[1:] == expected
    assert target["masks"].flatten(1).any(1).all()
    assert torch.equal(target["boxes"], boxes_from_masks(target["masks"]))
    assert len(target["labels"]) == len(target["masks"]) <= instances
    assert set(target["labels"].tolist()) <= set(before.target["labels"].tolist())
    assert (after.index, after.seed) == (before.index, before.seed)
    assert (after.image.dtype, target["masks"].dtype, target["labels"].dtype) == (torch.uint8, torch.uint8, torch.int64)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, crop_size=st.sampled_from([0, 20]))
def test_the_result_is_a_pure_function_of_the_sample(seed: int, crop_size: int) -> None:
    augment = replace(EVERYTHING, crop_size=crop_size)
    before = replace(sample(), seed=seed)
    copy = Sample(before.image.clone(), {**before.target, "masks": before.target["masks"].clone()}, 7, seed)
    state = torch.get_rng_state()
    first = augment(before)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert_same_sample(first, augment(before))
    assert_same_sample(before, copy)


@given(height=sizes, width=sizes, seed=seeds)
@settings(max_examples=30, deadline=None)
def test_two_flips_give_the_first_sample_back(height: int, width: int, seed: int) -> None:
    before = replace(sample(height, width), seed=seed)
    for flip in (Augment(horizontal_flip=1.0), Augment(vertical_flip=1.0), Augment(1.0, 1.0)):
        assert_same_sample(flip(flip(before)), before)


def test_flips_go_the_way_they_say() -> None:
    before = sample()
    across, down = Augment(horizontal_flip=1.0)(before), Augment(vertical_flip=1.0)(before)
    assert torch.equal(across.image, before.image.flip(2))
    assert torch.equal(down.image, before.image.flip(1))
    x1, _, x2, _ = before.target["boxes"][0].tolist()
    assert across.target["boxes"][0, [0, 2]].tolist() == [32 - x2, 32 - x1]


def test_nothing_switched_on_gives_the_same_object_back() -> None:
    before = sample()
    assert Augment()(before) is before
    assert Augment(horizontal_flip=0.0, photometric=0.0, min_visible=0.9)(before) is before


def test_different_seeds_give_different_results() -> None:
    results = [EVERYTHING(replace(sample(), seed=seed)).image for seed in range(10)]
    assert sum(torch.equal(results[0], other) for other in results[1:]) == 0


def test_half_of_the_pictures_are_flipped() -> None:
    flip, before = Augment(horizontal_flip=0.5), sample()
    flipped = sum(
        flip(replace(before, seed=seed)) is not replace(before, seed=seed)
        and not torch.equal(flip(replace(before, seed=seed)).image, before.image)
        for seed in range(400)
    )
    assert 150 < flipped < 250


def test_zooming_in_doubles_what_is_in_the_window() -> None:
    """Zoom 2 keeps a window of half the sides: each kept mask has four times its pixels in that window."""
    masks = torch.zeros((1, 32, 32), dtype=torch.uint8)
    masks[:, 12:20, 12:20] = 1  # in every window of 16 × 16 at least in part
    target = {"boxes": boxes_from_masks(masks), "labels": torch.tensor([1]), "masks": masks}
    zoom = Augment(scale_min=2.0, scale_max=2.0, min_visible=0.0)
    areas = {
        int(zoom(Sample(torch.zeros((3, 32, 32), dtype=torch.uint8), target, 0, seed)).target["masks"].sum())  # type: ignore[arg-type]
        for seed in range(50)
    }
    assert max(areas) == 4 * 64
    assert all(area % 4 == 0 for area in areas)


def test_zooming_out_pads_with_the_stated_colour() -> None:
    before = replace(sample(20, 20, 1), image=torch.full((3, 20, 20), 255, dtype=torch.uint8))
    after = Augment(scale_min=0.5, scale_max=0.5)(before)
    padding = torch.tensor(PADDING_COLOUR, dtype=torch.uint8)[:, None, None]
    is_padding = (after.image == padding).all(0)
    assert int((~is_padding).sum()) == 10 * 10
    assert (after.image[:, ~is_padding] == 255).all()
    assert not (after.target["masks"].bool() & is_padding).any()


def test_large_scale_jitter_fits_the_longer_side() -> None:
    """24 × 32 at r = 1 becomes 48 × 64: 48 rows of picture, 16 of padding."""
    before = replace(sample(24, 32, 1), image=torch.full((3, 24, 32), 255, dtype=torch.uint8))
    after = Augment(crop_size=64)(before)
    assert int((after.image == 255).all(0).sum()) == 48 * 64
    assert int(after.target["masks"].sum()) == 4 * int(before.target["masks"].sum())


def test_an_instance_cropped_below_its_visible_share_is_dropped() -> None:
    masks = torch.zeros((2, 40, 40), dtype=torch.uint8)
    masks[0, :, :] = 1  # a 20 × 20 window shows a quarter of it
    masks[1, 19:21, 19:21] = 1  # in the middle
    target = {"boxes": boxes_from_masks(masks), "labels": torch.tensor([1, 2]), "masks": masks}
    before = Sample(torch.zeros((3, 40, 40), dtype=torch.uint8), target, 0, 1)  # type: ignore[arg-type]
    zoom = Augment(scale_min=2.0, scale_max=2.0, min_visible=0.25)
    assert 1 in zoom(before).target["labels"].tolist()
    assert 1 not in replace(zoom, min_visible=0.26)(before).target["labels"].tolist()


def test_image_and_masks_move_together() -> None:
    """The picture shows the mask; after any zoom and flip it still does, up to the blur at the rim."""
    masks = torch.zeros((1, 60, 60), dtype=torch.uint8)
    masks[0, 15:45, 20:40] = 1
    target = {"boxes": boxes_from_masks(masks), "labels": torch.tensor([1]), "masks": masks}
    augment = Augment(0.5, 0.5, scale_min=0.5, scale_max=2.0, min_visible=0.0)
    for seed in range(30):
        after = augment(Sample((masks * 255).expand(3, 60, 60), target, 0, seed))  # type: ignore[arg-type]
        shown = after.image.float().mean(0) > 190  # between padding and white
        different = (shown ^ after.target["masks"][0].bool()).sum() if len(after.target["masks"]) else shown.sum()
        assert different <= 0.06 * 3600


def test_colours_change_and_shapes_do_not() -> None:
    before = sample()
    after = Augment(photometric=1.0)(before)
    assert not torch.equal(after.image, before.image)
    assert (after.image.float() - before.image.float()).abs().mean() < 60
    assert torch.equal(after.target["masks"], before.target["masks"])


def test_an_impossible_zoom_is_refused() -> None:
    for values in ((0.0, 1.0, 0), (2.0, 1.0, 0), (1.0, 1.0, -1)):
        with pytest.raises(ConfigError, match="scale_min"):
            Augment(scale_min=values[0], scale_max=values[1], crop_size=values[2])


def test_boxes_of_masks_by_hand() -> None:
    """Columns 2 … 4 and rows 1 … 1: x1 = 2, x2 = 4 + 1, y1 = 1, y2 = 1 + 1."""
    masks = torch.zeros((2, 6, 8), dtype=torch.uint8)
    masks[0, 1, 2:5] = 1
    masks[1, 5, 7] = 1
    boxes = boxes_from_masks(masks)
    assert boxes.tolist() == [[2, 1, 5, 2], [7, 5, 8, 6]]
    assert boxes_from_masks(masks[:0]).shape == (0, 4)
    masks[1] = 0
    with pytest.raises(DataError, match="mask 1 of 2 is empty"):
        boxes_from_masks(masks)
