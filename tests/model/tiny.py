"""A Mask R-CNN of a few channels and pictures of rectangles, for tests that need a whole network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from maskrcnn_exp.data.masks import boxes_from_masks
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.schema import BoxHeadConfig, MaskHeadConfig, ModelConfig, RpnConfig

CLASSES = 3  # with the background
EVERYTHING = 100_000  # elements per picture: more than there are, so that a sampler has no choice left


def tiny_config(**changes: Any) -> ModelConfig:
    """ResNet-18 with 16 channels, 64-pixel pictures and few proposals. Norms do not learn: a picture is alone."""
    config = ModelConfig(
        backbone="resnet18",
        backbone_norm="frozen_bn",
        fpn_channels=16,
        min_size=[64],
        max_size=128,
        anchor_sizes=[8, 16, 32, 64, 128],
        rpn=RpnConfig(
            pre_nms_top_n_train=200,
            post_nms_top_n_train=60,
            pre_nms_top_n_test=100,
            post_nms_top_n_test=30,
            batch_size_per_image=32,
        ),
        box_head=BoxHeadConfig(width=32, batch_size_per_image=24),
        mask_head=MaskHeadConfig(width=16, depth=1),
    )
    return replace(config, **changes)


def choosing_everything(config: ModelConfig) -> ModelConfig:
    """Let both samplers take every element, so that no draw decides anything."""
    return replace(
        config,
        rpn=replace(config.rpn, batch_size_per_image=EVERYTHING),
        box_head=replace(config.box_head, batch_size_per_image=EVERYTHING),
    )


def tiny_network(config: ModelConfig | None = None, seed: int = 0) -> MaskRCNN:
    """The network that `build_maskrcnn` makes, with weights that follow from `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, _ = build_maskrcnn(config or tiny_config(), CLASSES, detections_per_image=20)
        _spread_outputs(network)
    return network


def _spread_outputs(network: MaskRCNN) -> None:
    """Scale the last layers up: fresh ones give all regions nearly the same score, and ties hide mistakes."""
    with torch.no_grad():
        for layer in (network.rpn.head.cls_logits, network.roi_heads.box_predictor.cls_score):
            layer.weight.mul_(20)


def plain_torchvision(config: ModelConfig) -> MaskRCNN:
    """torchvision's own MaskRCNN for the same configuration, built from torchvision's parts alone."""
    norm = {"bn": nn.BatchNorm2d, "frozen_bn": FrozenBatchNorm2d}[config.backbone_norm]
    channels, head = config.fpn_channels, config.mask_head
    backbone = BackboneWithFPN(
        resnet18(norm_layer=norm),
        {f"layer{level + 1}": str(level) for level in range(4)},
        [64, 128, 256, 512],
        channels,
        extra_blocks=LastLevelMaxPool(),
    )
    return MaskRCNN(
        backbone,
        min_size=config.min_size,
        max_size=config.max_size,
        rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in config.anchor_sizes), (tuple(config.anchor_ratios),) * 5
        ),
        rpn_pre_nms_top_n_train=config.rpn.pre_nms_top_n_train,
        rpn_pre_nms_top_n_test=config.rpn.pre_nms_top_n_test,
        rpn_post_nms_top_n_train=config.rpn.post_nms_top_n_train,
        rpn_post_nms_top_n_test=config.rpn.post_nms_top_n_test,
        rpn_batch_size_per_image=config.rpn.batch_size_per_image,
        box_head=TwoMLPHead(channels * 49, config.box_head.width),
        box_predictor=FastRCNNPredictor(config.box_head.width, CLASSES),
        box_batch_size_per_image=config.box_head.batch_size_per_image,
        box_detections_per_img=20,
        mask_head=MaskRCNNHeads(channels, [head.width] * head.depth, 1),
        mask_predictor=MaskRCNNPredictor(head.width, head.width, CLASSES),
    )


def picture(index: int, height: int = 64, width: int = 64, objects: int = 2, seed: int = 0) -> Sample:
    """Noise with rectangles. Everything but `seed` follows from `index` and the sizes."""
    generator = torch.Generator().manual_seed(1000 * index + objects)
    image = torch.randint(256, (3, height, width), dtype=torch.uint8, generator=generator)
    masks = torch.zeros((objects, height, width), dtype=torch.uint8)
    for mask in masks:
        top, left = (int(torch.randint(side // 2, (1,), generator=generator)) for side in (height, width))
        rows, columns = (int(torch.randint(8, side // 2, (1,), generator=generator)) for side in (height, width))
        mask[top : top + rows, left : left + columns] = 1
        image[:, mask > 0] //= 4
    labels = torch.randint(1, CLASSES, (objects,), generator=generator)
    return Sample(image, {"boxes": boxes_from_masks(masks), "labels": labels, "masks": masks}, index, seed)


def as_torchvision(samples: list[Sample]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """What torchvision's network takes."""
    return [sample.image / 255 for sample in samples], [_tensors(sample) for sample in samples]


def _tensors(sample: Sample) -> dict[str, Tensor]:
    target = sample.target
    return {"boxes": target["boxes"], "labels": target["labels"], "masks": target["masks"]}


def gradients(network: nn.Module, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gradient of the sum of the five losses for every parameter that has one."""
    network.zero_grad()
    torch.stack([losses[name] for name in LOSSES]).sum().backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
