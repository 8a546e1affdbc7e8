"""The drawn dataset: every picture a function of (seed, number), masks exact, all limits kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskrcnn_exp.data.shapes import VAL_START, ShapesDataset
from maskrcnn_exp.data.shapes_drawing import MIN_VISIBLE_PIXELS
from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.errors import ConfigError
from tests.data.conformance import DatasetConformance, assert_same_sample


class TestConformance(DatasetConformance):
    @pytest.fixture
    def dataset(self) -> InstanceDataset:
        return ShapesDataset(seed=3, start=0, size=8, image_size=64, min_objects=0, max_objects=4)


def test_a_picture_depends_on_seed_and_number_alone() -> None:
    whole = ShapesDataset(seed=5, start=0, size=20, image_size=48)
    later = ShapesDataset(seed=5, start=12, size=3, image_size=48)
    assert torch.equal(whole.load(13).image, later.load(1).image)
    assert torch.equal(whole.load(13).target["masks"], later.load(1).target["masks"])
    assert not torch.equal(whole.load(13).image, ShapesDataset(seed=6, start=0, size=20, image_size=48).load(13).image)


def test_validation_pictures_are_none_of_the_training_pictures() -> None:
    train = ShapesDataset(seed=0, start=0, size=5, image_size=32)
    val = ShapesDataset(seed=0, start=VAL_START, size=5, image_size=32)
    assert not {train.image_id(i) for i in range(5)} & {val.image_id(i) for i in range(5)}
    assert not any(torch.equal(train.load(i).image, val.load(j).image) for i in range(5) for j in range(5))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    image_size=st.integers(16, 96),
    objects=st.integers(0, 12),
    radius=st.floats(0.01, 0.5),
    occlusion=st.floats(0, 1),
)
def test_limits_hold_for_any_setting(seed: int, image_size: int, objects: int, radius: float, occlusion: float) -> None:
    dataset = ShapesDataset(
        seed, 0, 1, image_size, objects, objects, min_radius=radius, max_radius=radius, occlusion=occlusion
    )
    masks = dataset.load(0).target["masks"]
    assert len(masks) <= objects
    assert (masks.sum((1, 2)) >= MIN_VISIBLE_PIXELS).all()
    assert masks.sum(0).max() <= 1  # each pixel shows one object


def test_without_occlusion_no_object_touches_an_earlier_one() -> None:
    """Circles of radius 12: each must show its full 12²π pixels (± the rim), so none lies under another."""
    dataset = ShapesDataset(0, 0, 30, 96, 4, 4, min_radius=0.125, max_radius=0.125, occlusion=0)
    targets = [dataset.load(index).target for index in range(30)]
    areas = [int(m.sum()) for t in targets for m, label in zip(t["masks"], t["labels"], strict=True) if label == 1]
    assert len(areas) > 20
    assert all(abs(area - 12**2 * np.pi) < 12 for area in areas)


def test_full_occlusion_lets_objects_overlap() -> None:
    dataset = ShapesDataset(0, 0, 30, 64, 6, 6, min_radius=0.25, max_radius=0.25, occlusion=1)
    smallest = min(int(dataset.load(index).target["masks"].sum((1, 2)).min()) for index in range(30))
    assert smallest < 16**2 * 1.299 * 0.7  # a triangle, the smallest shape, with a third of it covered


def test_areas_fit_the_shapes() -> None:
    """Area of a circle of radius r: πr²; of a square with its corners on it: 2r²; of a triangle: 1.299r²."""
    dataset = ShapesDataset(1, 0, 60, 128, 1, 1, min_radius=0.2, max_radius=0.2)
    expected = {1: np.pi, 2: 2.0, 3: 3 * np.sqrt(3) / 4}
    seen = set()
    for index in range(60):
        target = dataset.load(index).target
        label = int(target["labels"][0])
        seen.add(label)
        assert int(target["masks"].sum()) == pytest.approx(expected[label] * 25.6**2, rel=0.04)
    assert seen == {1, 2, 3}


def test_contrast_separates_objects_from_their_background() -> None:
    """Without texture and noise each channel differs by the contrast, up to the rounding to 8 bits."""
    dataset = ShapesDataset(2, 0, 20, 48, 1, 1, contrast=0.4, texture=0.0, noise=0.0)
    for index in range(20):
        sample = dataset.load(index)
        inside = sample.target["masks"][0].bool()
        difference = (sample.image[:, inside].float().mean(1) - sample.image[:, ~inside].float().mean(1)).abs()
        assert (difference >= 0.4 * 255 - 1).all()


def test_noise_and_texture_do_what_they_say() -> None:
    flat = ShapesDataset(0, 0, 1, 64, 0, 0, texture=0.0, noise=0.0).load(0).image.float()
    noisy = ShapesDataset(0, 0, 1, 64, 0, 0, texture=0.0, noise=0.05).load(0).image.float()
    textured = ShapesDataset(0, 0, 1, 64, 0, 0, texture=0.5, noise=0.0).load(0).image.float()
    assert flat.std((1, 2)).max() == 0
    assert (noisy - flat).std() == pytest.approx(0.05 * 255, rel=0.1)
    assert textured.std((1, 2)).min() > 5


def test_all_impossible_settings_are_listed_at_once() -> None:
    with pytest.raises(ConfigError, match="min_objects=3 must be") as error:
        ShapesDataset(0, 0, 1, 64, min_objects=3, max_objects=2, contrast=1.5)
    assert "contrast=1.5" in str(error.value)


def test_loading_the_same_sample_is_exact() -> None:
    dataset = ShapesDataset(seed=9, start=4, size=2, image_size=40)
    assert_same_sample(dataset.load(1), dataset.load(1))
