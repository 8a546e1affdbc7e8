"""Draws that follow from a picture's own seed: which anchors and proposals, and which training scale."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from maskrcnn_exp.model import sampling as module
from maskrcnn_exp.model.sampling import BalancedSampler, SeededTransform, picture_seeds
from tests.model.tiny import picture, tiny_network

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def matches(positives: int, negatives: int, ignored: int = 0) -> Tensor:
    """What the matcher gives: 1 positive, 0 negative, -1 ignored, mixed in a fixed way."""
    kinds = torch.tensor([1.0] * positives + [0.0] * negatives + [-1.0] * ignored)
    return kinds[torch.randperm(len(kinds), generator=torch.Generator().manual_seed(5))]


def chosen(sampler: BalancedSampler, *pictures: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(*sampler(list(pictures)), strict=True))


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.tuples(*[st.integers(0, 30)] * 3), min_size=1, max_size=3),
    size=st.integers(1, 40),
    fraction=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_without_seeds_it_is_torchvisions_sampler(
    counts: list[tuple[int, int, int]], size: int, fraction: float
) -> None:
    pictures = [matches(*count) for count in counts]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        positives, negatives = BalancedSampler(size, fraction, salt=1)(pictures)
        torch.manual_seed(3)
        expected_positives, expected_negatives = BalancedPositiveNegativeSampler(size, fraction)(pictures)
    for found, expected in zip(positives + negatives, expected_positives + expected_negatives, strict=True):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)


def test_sampled_counts_what_was_chosen() -> None:
    sampler = BalancedSampler(8, 0.25, salt=1)
    # 8 · 0.25 = 2 of 5 positives and 6 of 9 negatives; then 1 positive and the 3 negatives there are.
    sampler([matches(5, 9), matches(1, 3)])
    assert sampler.sampled == 8 + 4
    sampler([matches(0, 0, ignored=4)])
    assert sampler.sampled == 0


@pytest.fixture(params=["cpu", "gpu"])
def draw(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw as on a CPU, and as on a GPU, from how many candidates there are."""
    if request.param == "gpu":
        monkeypatch.setattr(module, "_draws_on_cpu", module._draws_from_counts)


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(st.tuples(*[st.integers(0, 30)] * 3), min_size=1, max_size=3),
    size=st.integers(1, 40),
    fraction=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    seeds=st.booleans(),
)
def test_drawing_from_counts_takes_as_many_and_no_other(
    counts: list[tuple[int, int, int]], size: int, fraction: float, seeds: bool
) -> None:
    pictures = [matches(*count) for count in counts]
    expected = BalancedSampler(size, fraction, salt=1)
    found = BalancedSampler(size, fraction, salt=1)
    if seeds:
        found.seeds = list(range(len(pictures)))
    expected.choose(pictures)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_draws_on_cpu", module._draws_from_counts)
        positives, negatives = found(pictures)
    assert found.chosen is not None
    assert expected.chosen is not None
    assert (found.chosen.positives, found.chosen.negatives) == (expected.chosen.positives, expected.chosen.negatives)
    for labels, positive, negative in zip(pictures, positives, negatives, strict=True):
        assert (labels[positive.bool()] >= 1).all()
        assert (labels[negative.bool()] == 0).all()
    assert [int(mask.sum()) for mask in positives] == found.chosen.positives
    assert [int(mask.sum()) for mask in negatives] == found.chosen.negatives


def test_drawing_from_counts_favours_no_place() -> None:
    drawn = [module._draws_from_counts([seed], ([40], [4]))[0] for seed in range(2000)]
    times = torch.bincount(torch.cat(drawn), minlength=40)
    assert times.min() > 140  # 200 each, standard deviation 13
    assert times.max() < 260


@pytest.mark.usefixtures("draw")
def test_choice_follows_from_the_seed_and_not_from_the_global_generator() -> None:
    sampler = BalancedSampler(16, 0.5, salt=1)
    sampler.seeds = [7]
    state = torch.get_rng_state()
    first = chosen(sampler, matches(50, 50))
    assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn from it
    torch.rand(3)
    torch.testing.assert_close(chosen(sampler, matches(50, 50)), first, rtol=0, atol=0)
    sampler.seeds = [8]
    assert not torch.equal(chosen(sampler, matches(50, 50))[0][0], first[0][0])


@pytest.mark.usefixtures("draw")
def test_choice_does_not_depend_on_who_shares_the_batch() -> None:
    sampler = BalancedSampler(16, 0.5, salt=1)
    sampler.seeds = [7]
    alone = chosen(sampler, matches(50, 50))[0]
    sampler.seeds = [3, 7]
    together = chosen(sampler, matches(20, 90), matches(50, 50))
    torch.testing.assert_close(together[1], alone, rtol=0, atol=0)


@pytest.mark.usefixtures("draw")
def test_two_samplers_of_one_network_draw_differently() -> None:
    network = tiny_network()
    rpn, roi = network.rpn.fg_bg_sampler, network.roi_heads.fg_bg_sampler
    assert rpn.salt != roi.salt
    results = []
    for salt in (rpn.salt, roi.salt):
        sampler = BalancedSampler(16, 0.5, salt)
        sampler.seeds = [7]
        results.append(chosen(sampler, matches(50, 50))[0][0])
    assert not torch.equal(*results)


@pytest.mark.usefixtures("draw")
def test_largest_seed_is_a_seed() -> None:
    sampler = BalancedSampler(4, 0.5, salt=2)
    sampler.seeds = [2**63 - 1]
    assert sampler([matches(9, 9)])[0][0].sum() == 2


def test_seeds_are_taken_away_after_the_pass_even_when_it_fails() -> None:
    network = tiny_network()
    places = [network.transform, network.rpn.fg_bg_sampler, network.roi_heads.fg_bg_sampler]

    def failing_pass() -> None:
        with picture_seeds(network, [4, 5]):
            assert [place.seeds for place in places] == [[4, 5]] * 3
            raise RuntimeError("the pass failed")

    with pytest.raises(RuntimeError, match="the pass failed"):
        failing_pass()
    assert [place.seeds for place in places] == [None] * 3


def scales(transform: SeededTransform, seeds: list[int]) -> list[int]:
    """The shorter side each of the square pictures got."""
    transform.seeds = seeds
    images, _ = transform([torch.rand(3, 50, 50) for _ in seeds])
    return [min(size) for size in images.image_sizes]


def test_training_scale_follows_from_the_pictures_seed() -> None:
    transform = SeededTransform([32, 40, 48, 64], 128, MEAN, STD).train()
    drawn = scales(transform, list(range(12)))
    assert set(drawn) == {32, 40, 48, 64}
    torch.rand(3)
    assert scales(transform, list(range(12))) == drawn
    assert scales(transform, list(range(12))[::-1]) == drawn[::-1]  # whichever place it has in the batch


def test_evaluation_takes_the_last_scale_whatever_the_seed() -> None:
    transform = SeededTransform([32, 40, 48], 128, MEAN, STD).eval()
    assert scales(transform, [0, 1, 2, 3]) == [48] * 4


def run_transform(transform: Any, training: bool, height: int, width: int) -> tuple[Tensor, dict[str, Tensor]]:
    sample = picture(0, height, width)
    target = {name: value for name, value in sample.target.items() if isinstance(value, Tensor)}
    images, targets = transform.train(training)([sample.image / 255], [target])
    return images.tensors, targets[0]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 90), (90, 64), (50, 70), (64, 128), (64, 130), (80, 96)])
def test_values_are_torchvisions_resized_or_not(training: bool, height: int, width: int) -> None:
    image, target = run_transform(SeededTransform([64], 128, MEAN, STD), training, height, width)
    expected, expected_target = run_transform(GeneralizedRCNNTransform([64], 128, MEAN, STD), training, height, width)
    assert torch.equal(image, expected)
    assert target.keys() == expected_target.keys()
    for name, value in target.items():
        assert value.dtype == expected_target[name].dtype
        assert torch.equal(value, expected_target[name]), name


@pytest.mark.parametrize(
    ("training", "min_size", "height", "width", "skips"),
    [
        (True, [64], 64, 128, True),
        (True, [64], 64, 129, False),  # max_size makes it smaller
        (True, [48, 64], 64, 64, False),  # another picture of this size may become 48
        (False, [48, 64], 64, 64, True),
        (False, [64, 48], 64, 64, False),
    ],
)
def test_interpolation_is_skipped_only_where_it_would_change_nothing(
    training: bool, min_size: list[int], height: int, width: int, skips: bool
) -> None:
    transform = SeededTransform(min_size, 128, MEAN, STD).train(training)
    image = torch.rand(3, height, width)
    resized, _ = transform.resize(image)
    assert (resized is image) == skips


def test_small_masks_stay_small_and_boxes_come_back_to_the_pictures_pixels() -> None:
    transform = SeededTransform([32], 128, MEAN, STD).eval()
    detections = {"boxes": torch.tensor([[2.0, 4.0, 10.0, 12.0]]), "masks": torch.full((1, 1, 28, 28), 0.75)}
    transform.paste_masks = False
    (small,) = transform.postprocess([dict(detections)], [(32, 32)], [(64, 96)])
    assert small["boxes"].tolist() == [[6.0, 8.0, 30.0, 24.0]]  # × 96 / 32 and × 64 / 32
    assert torch.equal(small["masks"], detections["masks"])
    transform.paste_masks = True
    (pasted,) = transform.postprocess([dict(detections)], [(32, 32)], [(64, 96)])
    assert pasted["masks"].shape == (1, 1, 64, 96)
    assert torch.equal(pasted["boxes"], small["boxes"])
