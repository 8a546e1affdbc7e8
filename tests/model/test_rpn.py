"""The proposal network against torchvision's own: matches, suppression, proposals, losses, gradients, kept anchors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from maskrcnn_exp.model import rpn as module
from maskrcnn_exp.model.rpn import Anchors, FastRegionProposalNetwork, match_anchors
from tests.model.rpn_cases import (
    HIGH,
    LOW,
    Batch,
    Box,
    anchor_generator,
    as_tensor,
    batches,
    box_strategy,
    maps_for,
    pair,
    plain_network,
    results,
)
from tests.model.tiny import tiny_network


def assert_matches_torchvisions(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return the labels, which are torchvision's, as are the objects of the positive anchors."""
    labels, matched = match_anchors(boxes, Anchors.of(anchors), HIGH, LOW)
    (expected,), (expected_boxes,) = plain_network().assign_targets_to_anchors([anchors], [{"boxes": boxes}])
    assert torch.equal(labels, expected)
    assert matched.dtype == torch.int64
    positive = labels == 1
    assert torch.equal(boxes[matched[positive]], expected_boxes[positive])
    return labels


@settings(max_examples=60, deadline=None)
@given(
    boxes=st.lists(box_strategy(32), max_size=6),
    anchors=st.lists(box_strategy(32), min_size=1, max_size=40),
    twice=st.booleans(),
)
def test_matches_are_torchvisions_for_any_boxes(boxes: list[Box], anchors: list[Box], twice: bool) -> None:
    assert_matches_torchvisions(as_tensor(boxes * 2 if twice else boxes), as_tensor(anchors))


@settings(max_examples=30, deadline=None)
@given(boxes=st.lists(box_strategy(64), max_size=8))
def test_matches_are_torchvisions_on_a_grid_of_anchors(boxes: list[Box]) -> None:
    images = ImageList(torch.zeros(1, 3, 64, 64), [(64, 64)])
    (anchors,) = anchor_generator()(images, list(maps_for(64, 64, 1).values()))
    assert_matches_torchvisions(as_tensor(boxes), anchors)


def test_matches_worked_by_hand() -> None:
    boxes = as_tensor([(0, 0, 8, 8), (40, 0, 44, 4)])
    anchors = as_tensor(
        [
            (0, 0, 8, 6),  # IoU 0.75 with the first object
            (0, 0, 8, 4),  # 0.5: just positive
            (0, 0, 8, 2),  # 0.25: just not negative, ignored
            (0, 0, 8, 1),  # 0.125: negative
            (40, 0, 44, 1),  # 0.25 with the second object, whose best it is
            (40, 3, 44, 4),  # the same
        ]
    )
    assert assert_matches_torchvisions(boxes, anchors).tolist() == [1, 1, -1, 0, 1, 1]


def test_picture_without_an_object_has_negative_anchors_only() -> None:
    labels = assert_matches_torchvisions(as_tensor([]), as_tensor([(0, 0, 8, 8), (4, 4, 9, 9)]))
    assert labels.tolist() == [0, 0]


def test_object_far_from_every_anchor_makes_all_positive_as_in_torchvision() -> None:
    labels = assert_matches_torchvisions(as_tensor([(90, 90, 99, 99)]), as_tensor([(0, 0, 8, 8), (4, 4, 9, 9)]))
    assert labels.tolist() == [1, 1]  # 0 is the best overlap that it has, twice


def assert_networks_agree(ours: RegionProposalNetwork, plain: RegionProposalNetwork, batch: Batch) -> list[Tensor]:
    proposals, losses, grads = results(ours, batch)
    expected, expected_losses, expected_grads = results(plain, batch)
    assert [len(boxes) for boxes in proposals] == [len(boxes) for boxes in expected]
    torch.testing.assert_close(proposals, expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(losses, expected_losses, rtol=1e-5, atol=1e-6)
    assert ours.fg_bg_sampler.sampled == plain.fg_bg_sampler.sampled
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        largest = max(1.0, float(expected_grad.abs().max()))
        torch.testing.assert_close(grad, expected_grad, rtol=1e-4, atol=1e-5 * largest)
    return proposals


@settings(max_examples=40, deadline=None)
@given(
    batch=batches(),
    training=st.booleans(),
    top_n=st.sampled_from([7, 60, 2000]),
    score_thresh=st.sampled_from([0.0, 0.5]),
)
@example(batch=Batch(((64, 64),), ((),)), training=True, top_n=60, score_thresh=0.0)  # no object anywhere
@example(batch=Batch(((8, 8), (96, 40)), ((), ((0.0, 0.0, 8.0, 8.0),)), 3), training=True, top_n=60, score_thresh=0.0)
def test_proposals_losses_and_gradients_are_torchvisions(
    batch: Batch, training: bool, top_n: int, score_thresh: float
) -> None:
    ours, plain = pair(batch.seed, top_n=top_n, score_thresh=score_thresh)
    assert_networks_agree(ours.train(training), plain.train(training), batch)


def test_proposals_lie_in_their_own_picture_and_differ_between_pictures() -> None:
    ours, plain = pair()
    batch = Batch(((64, 40), (30, 64)), (((4.0, 4.0, 20.0, 30.0),), ((8.0, 8.0, 16.0, 20.0),)))
    first, second = assert_networks_agree(ours, plain, batch)
    assert len(first) > 5
    assert len(second) > 5
    assert first[:, 2].max() == 40  # the widest proposals are cut at the picture's edge
    assert second[:, 3].max() == 30
    assert not torch.equal(first[:5], second[:5])


def test_other_objects_give_other_losses() -> None:
    ours, _ = pair()
    near, far = (((4.0, 4.0, 20.0, 20.0),),), (((30.0, 30.0, 60.0, 60.0),),)
    losses = [results(ours, Batch(((64, 64),), objects))[1] for objects in (near, far)]
    assert losses[0]["loss_objectness"] != losses[1]["loss_objectness"]
    assert losses[0]["loss_rpn_box_reg"] != losses[1]["loss_rpn_box_reg"]


SHAPES = [(64, 64), (96, 64), (64, 96), (64, 64), (32, 32), (96, 64)]


def test_batches_of_changing_shapes_get_their_own_anchors_and_the_cache_stays_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_KEPT_SHAPES", 2)
    ours, plain = pair()
    for height, width in SHAPES:
        assert_networks_agree(ours, plain, Batch(((height, width),), (((4.0, 4.0, 20.0, 20.0),),)))
        assert len(ours._anchors) <= 2
    assert len(ours._anchors) == 2


def test_anchors_are_made_once_per_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = pair()
    made: list[int] = []
    make = AnchorGenerator.forward
    monkeypatch.setattr(AnchorGenerator, "forward", lambda *args: (made.append(1), make(*args))[1])
    batch = Batch(((64, 64), (40, 50)), ((), ()))
    for _ in range(3):
        results(ours, batch)
    assert len(made) == 1
    results(ours, Batch(((96, 64),), ((),)))
    assert len(made) == 2


def test_maps_of_one_shape_under_pictures_of_another_size_have_other_anchors() -> None:
    """torchvision's stride is picture size // map size: 60 // 8 = 7 is not 64 // 8."""
    ours, plain = pair()
    for side in (64, 60, 64):
        images = ImageList(torch.zeros(1, 3, side, side), [(side, side)])
        found, expected = (network.eval()(images, maps_for(64, 64, 1))[0] for network in (ours, plain))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_taking_over_keeps_module_names_and_parameters() -> None:
    plain = plain_network()
    parameters = dict(plain.named_parameters())
    names = list(plain.state_dict())
    ours = FastRegionProposalNetwork.take_over(plain)
    assert ours is plain
    assert isinstance(ours, RegionProposalNetwork)
    assert list(ours.state_dict()) == names
    assert all(parameter is parameters[name] for name, parameter in ours.named_parameters())


def test_training_without_targets_is_refused() -> None:
    ours, _ = pair()
    with pytest.raises(ValueError, match="targets must be given"):
        ours(Batch(((32, 32),), ((),)).images(), maps_for(32, 32, 1))


def test_anchors_stay_out_of_mixed_precision() -> None:
    """In bfloat16 anchors beyond x = 256 would be rounded to 2 pixels, beyond 1024 to 8."""
    generator = tiny_network().rpn.anchor_generator
    images = ImageList(torch.zeros(1, 3, 8, 1344), [(8, 1344)])
    maps = [torch.zeros(1, 2, max(1, 8 >> level), 1344 // 4 >> level) for level in range(5)]
    (exact,) = generator(images, maps)
    (mixed,) = generator(images, [level.bfloat16() for level in maps])
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, exact)
