"""The whole network against torchvision's own MaskRCNN with the same weights."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.roi_heads import RoIHeads

from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.model import roi_heads
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.model.roi_heads import MaskRoiHeads
from maskrcnn_exp.model.sampling import BalancedSampler, picture_seeds
from maskrcnn_exp.schema import BoxHeadConfig, MaskHeadConfig, MaskLossConfig, ModelConfig
from tests.model.tiny import (
    CLASSES,
    as_torchvision,
    choosing_everything,
    gradients,
    picture,
    plain_torchvision,
    tiny_config,
    tiny_network,
)

SAMPLES = [picture(1, 64, 64, objects=3, seed=11), picture(2, 64, 80, objects=0, seed=12), picture(3, 96, 64, seed=13)]
"""Three sizes, one of them resized, one picture without an instance."""


def pair(config: ModelConfig) -> tuple[MaskRCNN, MaskRCNN]:
    """Our network and torchvision's with the same weights, both in training mode."""
    ours = tiny_network(config)
    plain = plain_torchvision(config)
    plain.load_state_dict(ours.state_dict())
    return ours.train(), plain.train()


def losses_of(network: MaskRCNN, samples: list[Sample]) -> dict[str, Tensor]:
    images, targets = as_torchvision(samples)
    losses: dict[str, Tensor] = network(images, targets)
    return losses


def assert_same_losses_and_gradients(ours: MaskRCNN, plain: MaskRCNN, samples: list[Sample]) -> None:
    with picture_seeds(ours, [sample.seed for sample in samples]):
        losses = losses_of(ours, samples)
    expected = losses_of(plain, samples)
    assert set(losses) == set(expected) == set(LOSSES)
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-6)
    grads, expected_grads = gradients(ours, losses), gradients(plain, expected)
    assert grads.keys() == expected_grads.keys()
    for name, grad in grads.items():
        # The pooled values differ in their last bits, which moves a few ReLUs over 0: compare whole tensors.
        distance = (grad - expected_grads[name]).norm() / expected_grads[name].norm().clamp(min=1e-6)
        assert distance.item() < 2e-3, name


@pytest.mark.parametrize("norm", ["frozen_bn", "bn"])
def test_losses_and_gradients_are_torchvisions_when_samplers_take_everything(norm: str) -> None:
    ours, plain = pair(choosing_everything(tiny_config(backbone_norm=norm)))
    assert_same_losses_and_gradients(ours, plain, SAMPLES)


def test_losses_and_gradients_are_torchvisions_for_the_same_choice() -> None:
    ours, plain = pair(tiny_config())
    seeds = [sample.seed for sample in SAMPLES]
    for place in ("rpn", "roi_heads"):
        own = getattr(ours, place).fg_bg_sampler
        same = BalancedSampler(own.batch_size_per_image, own.positive_fraction, own.salt)
        same.seeds = seeds
        getattr(plain, place).fg_bg_sampler = same
    assert_same_losses_and_gradients(ours, plain, SAMPLES)


def test_a_batch_of_pictures_without_instances_trains_as_torchvisions() -> None:
    ours, plain = pair(choosing_everything(tiny_config()))
    empty = [picture(1, objects=0), picture(2, objects=0)]
    assert_same_losses_and_gradients(ours, plain, empty)
    assert ours.roi_heads.foreground == 0
    assert [int(count) for count in asdict(ours.roi_heads.telemetry).values()] == [0] * 5
    assert int(ours.roi_heads.class_hits) == 0


def test_class_hits_are_the_foreground_proposals_that_prefer_their_own_class_to_other_objects() -> None:
    network = tiny_network()
    labels = torch.cat([sample.target["labels"] for sample in SAMPLES]).unique()
    assert len(labels) > 1
    hits = {}
    for label in labels.tolist():
        with torch.no_grad():  # the background's logit is the highest, and does not count
            network.roi_heads.box_predictor.cls_score.weight.zero_()
            network.roi_heads.box_predictor.cls_score.bias.copy_(torch.eye(3)[label] + 2 * torch.eye(3)[0])
        outcome(network)
        hits[label] = int(network.roi_heads.class_hits)
    assert all(count > 0 for count in hits.values())
    assert sum(hits.values()) == network.roi_heads.foreground


def test_losses_and_gradients_in_mixed_precision_are_those_of_float_to_bfloat16s_precision() -> None:
    ours, plain = pair(choosing_everything(tiny_config()))
    ours.to(memory_format=torch.channels_last)
    with picture_seeds(ours, [sample.seed for sample in SAMPLES]), torch.autocast("cpu", torch.bfloat16):
        losses = losses_of(ours, SAMPLES)
    expected = losses_of(plain, SAMPLES)
    torch.testing.assert_close({k: v.float() for k, v in losses.items()}, expected, rtol=0.05, atol=1e-3)
    grads, expected_grads = (
        torch.cat([grad.flatten() for grad in gradients(network, found).values()])
        for network, found in ((ours, losses), (plain, expected))
    )
    assert torch.nn.functional.cosine_similarity(grads, expected_grads, dim=0) > 0.99
    assert grads.norm().item() == pytest.approx(expected_grads.norm().item(), rel=0.05)


def test_detections_are_torchvisions() -> None:
    ours, plain = pair(tiny_config())
    images, _ = as_torchvision(SAMPLES)
    with torch.no_grad():
        found, expected = ours.eval()(images), plain.eval()(images)
    for detections, expected_detections, image in zip(found, expected, images, strict=True):
        assert len(expected_detections["labels"]) > 0
        assert detections["masks"].shape == (len(detections["labels"]), 1, *image.shape[-2:])
        torch.testing.assert_close(detections, expected_detections, rtol=1e-3, atol=1e-3)


def outcome(network: MaskRCNN) -> tuple[dict[str, Tensor], dict[str, Tensor], list[dict[str, Tensor]]]:
    """Losses with the counts of the mask head, gradients, and detections."""
    network.train()
    with picture_seeds(network, [sample.seed for sample in SAMPLES]):
        losses = losses_of(network, SAMPLES)
    counts = {name: torch.as_tensor(count) for name, count in asdict(network.roi_heads.telemetry).items()}
    grads = gradients(network, losses)
    with torch.no_grad():
        detections = network.eval()(as_torchvision(SAMPLES)[0])
    return {**losses, **counts, "foreground": torch.tensor(network.roi_heads.foreground)}, grads, detections


@pytest.mark.parametrize("regions", [5, 16, 64])
def test_rounding_up_the_regions_changes_no_loss_gradient_or_detection(
    regions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny_network()
    monkeypatch.setattr(roi_heads, "ROUND_REGIONS", 1)
    expected = outcome(network)
    monkeypatch.setattr(roi_heads, "ROUND_REGIONS", regions)
    found = outcome(network)
    assert sum(len(detections["labels"]) for detections in found[2]) > 0
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[1], expected[1], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found[2], expected[2], rtol=1e-4, atol=1e-4)


def counts_of(boxes: list[Tensor]) -> list[int]:
    return [len(picture_boxes) for picture_boxes in boxes]


def test_regions_are_rounded_up_in_the_last_picture() -> None:
    heads = tiny_network().roi_heads.train()
    boxes = [torch.full((3, 4), 8.0), torch.full((15, 4), 9.0), torch.zeros(0, 4)]
    rounded = heads._rounded(boxes, heads.mask_head)
    assert counts_of(rounded) == [3, 15, 14]  # 32 in all
    assert counts_of(boxes) == [3, 15, 0]
    assert counts_of(heads._rounded([torch.zeros(16, 4)], heads.mask_head)) == [16]
    assert counts_of(heads._rounded([torch.zeros(0, 4)], heads.mask_head)) == [0]


def test_regions_are_not_rounded_up_without_fast_or_on_another_device() -> None:
    heads = tiny_network().roi_heads
    assert counts_of(heads._rounded([torch.zeros(3, 4, device="meta")], heads.mask_head)) == [3]
    heads.fast = False
    assert counts_of(heads._rounded([torch.zeros(3, 4)], heads.mask_head)) == [3]


def normed_heads() -> ModelConfig:
    box_head = BoxHeadConfig(convs=1, fcs=1, width=32, batch_size_per_image=24, norm="bn")
    return tiny_config(box_head=box_head, mask_head=MaskHeadConfig(width=16, depth=1, norm="bn"))


def test_added_regions_do_not_count_in_a_norm_that_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for regions in (1, 64):
        monkeypatch.setattr(roi_heads, "ROUND_REGIONS", regions)
        network = tiny_network(normed_heads())
        with picture_seeds(network.train(), [sample.seed for sample in SAMPLES]):
            losses = losses_of(network, SAMPLES)
        statistics = {name: value for name, value in network.roi_heads.state_dict().items() if "running" in name}
        assert len(statistics) == 4
        seen.append({**losses, **statistics})
    torch.testing.assert_close(seen[1], seen[0], rtol=1e-5, atol=1e-6)


def test_a_norm_that_is_held_lets_regions_be_rounded_up() -> None:
    heads = tiny_network(normed_heads()).roi_heads.train()
    boxes = [torch.zeros(3, 4)]
    assert counts_of(heads._rounded(boxes, heads.mask_head)) == [3]
    heads.mask_head.eval()
    assert counts_of(heads._rounded(boxes, heads.mask_head)) == [16]
    assert counts_of(heads._rounded(boxes, heads.box_head)) == [3]


def test_no_detection_gives_empty_tensors() -> None:
    network = tiny_network(tiny_config(score_threshold=1.0)).eval()
    with torch.no_grad():
        (detections,) = network([torch.rand(3, 64, 64)])
    assert {name: tuple(value.shape) for name, value in detections.items()} == {
        "boxes": (0, 4),
        "labels": (0,),
        "scores": (0,),
        "masks": (0, 1, 64, 64),
    }


def test_take_over_keeps_the_module_and_its_parameters() -> None:
    plain = plain_torchvision(tiny_config())
    heads, names = plain.roi_heads, list(plain.state_dict())
    taken = MaskRoiHeads.take_over(heads, bce_weight=2.0, dice_weight=3.0)
    assert taken is heads is plain.roi_heads
    assert isinstance(heads, RoIHeads)
    assert list(plain.state_dict()) == names
    assert (taken.bce_weight, taken.dice_weight, taken.telemetry, taken.foreground) == (2.0, 3.0, None, 0)


def test_weights_of_the_mask_loss_change_loss_mask_alone() -> None:
    def losses(bce: float, dice: float) -> dict[str, float]:
        network = tiny_network(tiny_config(mask_loss=MaskLossConfig(bce, dice))).train()
        with picture_seeds(network, [sample.seed for sample in SAMPLES]):
            return {name: value.item() for name, value in losses_of(network, SAMPLES).items()}

    bce, dice, both = losses(1.0, 0.0), losses(0.0, 1.0), losses(2.0, 0.5)
    assert both.pop("loss_mask") == pytest.approx(2 * bce.pop("loss_mask") + 0.5 * dice.pop("loss_mask"), rel=1e-5)
    assert both == bce == dice


def test_telemetry_and_foreground_are_of_the_last_training_pass() -> None:
    network = tiny_network(choosing_everything(tiny_config())).train()
    losses_of(network, SAMPLES)
    many, telemetry = network.roi_heads.foreground, network.roi_heads.telemetry
    assert many >= 5  # every ground-truth box is a proposal of its own
    assert int(telemetry.pixels) == many * 28 * 28
    assert 0 < int(telemetry.positives) < int(telemetry.pixels)
    assert int(telemetry.wrong) == int(telemetry.false_positives) + int(telemetry.false_negatives)
    losses_of(network, SAMPLES[:1])
    assert 3 <= network.roi_heads.foreground < many


def test_training_without_targets_is_refused() -> None:
    heads = tiny_network().train().roi_heads
    with pytest.raises(ValueError, match="targets"):
        heads({}, [], [], None)


def test_mask_resolution_is_that_of_the_configuration() -> None:
    config = tiny_config()
    config = replace(config, mask_head=replace(config.mask_head, resolution=20))
    network, _ = build_maskrcnn(config, CLASSES, detections_per_image=5)
    network.eval()
    network.transform.paste_masks = False
    with torch.no_grad():
        (detections,) = network([torch.rand(3, 64, 64)])
    assert detections["masks"].shape[1:] == (1, 20, 20)
