"""What our speed is measured against is the same network and the same training as ours."""

from __future__ import annotations

import pytest
import torch

from benchmarks.bench.equality import compare
from benchmarks.bench.evaluation import evaluate_ours, evaluate_reference
from benchmarks.bench.found import detections, ground_truth
from benchmarks.bench.trainings import config_of, side_by_side
from benchmarks.reference_parts import Pictures, build_model, refusals, train_loader
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.recipes.setup import fabric_for, open_data
from tests.recipes.conftest import SMALL

_FP32 = (*SMALL, "trainer.precision=32-true", "model.backbone_norm=frozen_bn")


@pytest.mark.parametrize("preset", ["tiny", "mobilenet_v2_fpn", "resnet50_fpn", "resnet50_fpn_v2"])
def test_the_reference_takes_the_weights_of_every_preset(preset: str) -> None:
    config = config_of([f"model={preset}", "model.backbone_weights=none"])
    ours, _ = build_maskrcnn(config.model, num_classes=4, detections_per_image=100)
    theirs = build_model(config.model, num_classes=4, detections_per_image=100)
    shapes = [{name: value.shape for name, value in net.state_dict().items()} for net in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("preset", ["tiny", "resnet50_fpn"])
def test_the_reference_samples_and_keeps_as_many_as_ours(preset: str) -> None:
    config = config_of([f"model={preset}", "model.backbone_weights=none"])
    ours, _ = build_maskrcnn(config.model, num_classes=4, detections_per_image=123)
    theirs = build_model(config.model, num_classes=4, detections_per_image=123)
    for mine, other in ((ours.rpn, theirs.rpn), (ours.roi_heads, theirs.roi_heads)):
        for name in ("batch_size_per_image", "positive_fraction"):
            assert getattr(mine.fg_bg_sampler, name) == getattr(other.fg_bg_sampler, name)
    for name in ("_pre_nms_top_n", "_post_nms_top_n", "nms_thresh", "score_thresh"):
        assert getattr(ours.rpn, name) == getattr(theirs.rpn, name)
    for name in ("score_thresh", "nms_thresh", "detections_per_img"):
        assert getattr(ours.roi_heads, name) == getattr(theirs.roi_heads, name)


def test_without_the_fast_pieces_losses_and_gradients_are_torchvisions_bit_for_bit() -> None:
    with side_by_side((*_FP32, "trainer.fast=false", "trainer.channels_last=false"), keep=1) as both:
        difference = compare(both)
    assert (difference.losses, difference.gradient) == (0.0, 0.0)


def test_with_the_fast_pieces_losses_and_gradients_are_torchvisions_to_rounding() -> None:
    with side_by_side((*_FP32, "trainer.fast=true"), keep=1) as both:
        difference = compare(both)
    assert difference.losses < 1e-5
    assert difference.gradient < 1e-3


def test_the_reference_sees_our_pictures_in_our_order() -> None:
    config = config_of([*SMALL, "augment=full"])
    fabric, _ = fabric_for(config.trainer)
    data = open_data(config, fabric)
    pictures = Pictures(data.train, seed=config.seed, augment=config.augment)
    pictures.epoch = 2
    loader = train_loader(pictures, data.batches.plan, workers=0)
    seen = 0
    for batch, (images, targets) in zip(data.batches.epoch(2), loader, strict=True):
        for sample, image, target in zip(batch, images, targets, strict=True):
            assert torch.equal(image, sample.image / 255)
            assert torch.equal(target["masks"], sample.target["masks"])
            assert target["image_id"] == sample.index
            seen += 1
    assert seen == 24  # dataset.train_size of SMALL


def test_both_sides_of_a_step_start_from_the_same_weights_and_move() -> None:
    with side_by_side(SMALL, keep=2) as both:
        ours, theirs = both.ours.state.network, both.reference.training.model
        before = {name: value.clone() for name, value in ours.state_dict().items()}
        assert all(torch.equal(value, before[name]) for name, value in theirs.state_dict().items())
        for number in range(2):
            both.step_ours(number)
            both.step_reference(number)
        name = "roi_heads.mask_predictor.conv5_mask.weight"
        for network in (ours, theirs):
            assert not torch.equal(network.state_dict()[name], before[name])


def test_what_the_reference_does_not_have_is_refused_by_name() -> None:
    config = config_of([*SMALL, "lr.mask_mult=10", "trainer.ema_decay=0.9"])
    assert refusals(config) == ["trainer.ema_decay", "lr.mask_mult"]
    assert refusals(config_of(SMALL)) == []


def test_the_reference_evaluator_gives_our_numbers() -> None:
    truth, found = ground_truth(4), list(detections(range(4)))
    ours, theirs = evaluate_ours(truth, found), evaluate_reference(truth, found)
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert 0.2 < ours[0] < 0.95  # boxes: detections that are neither perfect nor hopeless
    assert 0.2 < ours[12] < 0.95  # masks
