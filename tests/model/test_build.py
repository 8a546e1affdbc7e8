"""The assembled network: torchvision's names, the configuration's values, norms that stay as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.model.build import build_maskrcnn, hold_norms
from maskrcnn_exp.schema import BoxHeadConfig, MaskHeadConfig, MaskLossConfig, ModelConfig
from tests.model.tiny import CLASSES, tiny_config


def preset(name: str, *overrides: str) -> ModelConfig:
    return to_train_config(compose([f"model={name}", "run_dir=unused", *overrides])).model


def on_meta(config: ModelConfig, num_classes: int = CLASSES) -> MaskRCNN:
    """Names and shapes without memory."""
    with torch.device("meta"):
        network, notes = build_maskrcnn(config, num_classes, detections_per_image=77)
    assert notes == []
    return network


@pytest.mark.parametrize(
    ("name", "theirs"), [("resnet50_fpn", maskrcnn_resnet50_fpn), ("resnet50_fpn_v2", maskrcnn_resnet50_fpn_v2)]
)
def test_preset_has_torchvisions_names_and_shapes(name: str, theirs: type[MaskRCNN]) -> None:
    own = on_meta(preset(name, "model.backbone_weights=none"), num_classes=91)
    with torch.device("meta"):
        expected = theirs(weights=None, weights_backbone=None, num_classes=91)
    shapes = {key: tuple(value.shape) for key, value in expected.named_parameters()}
    if (
        name == "resnet50_fpn"
    ):  # without weights torchvision builds v1 with learning norms, with weights with frozen ones
        shapes = {key: shape for key, shape in shapes.items() if ".bn" not in key and ".downsample.1." not in key}
    assert {key: tuple(value.shape) for key, value in own.named_parameters()} == shapes
    state = {key: tuple(value.shape) for key, value in expected.state_dict().items()}
    counters = {key for key in state if key.endswith("num_batches_tracked")} - set(own.state_dict())
    assert {key: tuple(value.shape) for key, value in own.state_dict().items()} == {
        key: shape for key, shape in state.items() if key not in counters
    }


def test_v1_preset_freezes_what_torchvision_freezes() -> None:
    own = on_meta(preset("resnet50_fpn", "model.backbone_weights=none"))
    frozen = {name.split(".")[2] for name, parameter in own.named_parameters() if not parameter.requires_grad}
    assert frozen == {"conv1", "layer1"}  # trainable_backbone_layers=3


def test_values_of_the_configuration_arrive() -> None:
    config = tiny_config(
        score_threshold=0.3, min_size=[48, 64], max_size=99, image_mean=[0.1, 0.2, 0.3], mask_loss=MaskLossConfig(2, 3)
    )
    config = replace(config, rpn=replace(config.rpn, depth=2), anchor_ratios=[0.5, 2.0])
    network = on_meta(config)
    heads, rpn, transform = network.roi_heads, network.rpn, network.transform
    assert (heads.score_thresh, heads.detections_per_img) == (0.3, 77)
    assert (heads.bce_weight, heads.dice_weight) == (2, 3)
    assert (heads.fg_bg_sampler.batch_size_per_image, heads.fg_bg_sampler.positive_fraction) == (24, 0.25)
    assert (rpn.fg_bg_sampler.batch_size_per_image, rpn.fg_bg_sampler.positive_fraction) == (32, 0.5)
    assert (transform.min_size, transform.max_size, transform.image_mean) == ([48, 64], 99, [0.1, 0.2, 0.3])
    assert rpn._pre_nms_top_n == {"training": 200, "testing": 100}
    assert rpn._post_nms_top_n == {"training": 60, "testing": 30}
    assert len(rpn.head.conv) == 2
    assert rpn.head.cls_logits.out_channels == 2  # one size and two ratios per level
    assert rpn.anchor_generator.sizes == ((8,), (16,), (32,), (64,), (128,))
    assert heads.box_predictor.cls_score.out_features == CLASSES
    assert heads.mask_predictor.mask_fcn_logits.out_channels == CLASSES


def test_convolutional_heads_with_norms() -> None:
    box = BoxHeadConfig(convs=2, fcs=1, width=32, norm="bn")
    network = on_meta(tiny_config(box_head=box, mask_head=MaskHeadConfig(width=8, depth=3, norm="bn")))
    kinds = [type(module).__name__ for module in network.roi_heads.box_head.modules() if not list(module.children())]
    assert kinds == ["GemmConv2d", "BatchNorm2d", "ReLU"] * 2 + ["Flatten", "Linear", "ReLU"]
    assert sum(isinstance(module, nn.BatchNorm2d) for module in network.roi_heads.mask_head.modules()) == 3


def test_fpn_norm_is_configuration() -> None:
    fpn = on_meta(tiny_config(fpn_norm="bn")).backbone.fpn
    assert sum(isinstance(module, nn.BatchNorm2d) for module in fpn.modules()) == 8


def test_anchors_leave_mixed_precision() -> None:
    network = on_meta(tiny_config()).to_empty(device="cpu")
    with torch.autocast("cpu", torch.bfloat16):
        logits, deltas = network.rpn.head([torch.zeros(1, 16, 8, 8)])
    assert {level.dtype for level in [*logits, *deltas]} == {torch.float32}


def modes(network: MaskRCNN) -> dict[str, set[bool]]:
    """Whether the batch norms of each part take part in training."""
    prefixes = {"backbone.body": "backbone", "backbone.fpn": "fpn", "roi_heads.mask_head": "mask"}
    found: dict[str, set[bool]] = {part: set() for part in prefixes.values()}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            found[next(part for prefix, part in prefixes.items() if name.startswith(prefix))].add(module.training)
    return found


def normed_network(**changes: object) -> MaskRCNN:
    mask_head = MaskHeadConfig(width=8, depth=1, norm="bn")
    return on_meta(tiny_config(backbone_norm="bn", fpn_norm="bn", mask_head=mask_head, **changes)).train()


def test_norms_that_learn_are_not_held() -> None:
    network = normed_network()
    hold_norms(network)
    assert modes(network) == {"backbone": {True}, "fpn": {True}, "mask": {True}}


def test_norms_of_frozen_parts_are_held_and_nothing_else() -> None:
    network = normed_network()
    hold_norms(network, ["backbone", "mask"])
    assert modes(network) == {"backbone": {False}, "fpn": {True}, "mask": {False}}
    assert network.roi_heads.training
    assert network.backbone.training


def test_norms_of_frozen_stages_are_held() -> None:
    network = normed_network(trainable_stages=2)
    hold_norms(network)
    body = network.backbone.body
    assert modes(network) == {"backbone": {True, False}, "fpn": {True}, "mask": {True}}
    assert [module.training for module in (body.bn1, body.layer1[0].bn1, body.layer2[0].bn1)] == [False] * 3
    assert [module.training for module in (body.layer3[0].bn1, body.layer4[0].bn1)] == [True] * 2


def test_held_norms_keep_their_statistics() -> None:
    torch.manual_seed(0)
    network, _ = build_maskrcnn(tiny_config(backbone_norm="bn"), CLASSES, detections_per_image=5)
    network.train()
    hold_norms(network, ["backbone"])
    network.backbone(torch.rand(2, 3, 64, 64))
    assert not any(value.any() for name, value in network.named_buffers() if name.endswith("running_mean"))
