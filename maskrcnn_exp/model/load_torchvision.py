"""Build torchvision's own MaskRCNN from an exported JSON file and load the weights beside it.

    from load_torchvision import load
    network, classes = load("best.json")
    found = network([picture])[0]      # picture: float32 [3, h, w], RGB, 0..1

`export format=torchvision` puts a copy of this file beside the weights. It needs torch and torchvision, nothing else.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

__all__ = ["build", "load"]

_NORMS: dict[str, Callable[..., nn.Module] | None] = {
    "bn": nn.BatchNorm2d,
    "frozen_bn": FrozenBatchNorm2d,
    "none": None,
}


def load(description: str | Path) -> tuple[MaskRCNN, list[str]]:
    """Return the network in eval mode and its class names; label 0 is the background.

    Args:
        description: The JSON file; the weights are the .pth file of the same name.
    """
    path = Path(description)
    spec = json.loads(path.read_text(encoding="utf-8"))
    network = build(spec)
    state = torch.load(path.with_suffix(".pth"), map_location="cpu", weights_only=True)
    network.load_state_dict(state, strict=True)
    return network.eval(), spec["classes"]


def build(spec: Mapping[str, Any]) -> MaskRCNN:
    """Return torchvision's network with fresh weights."""
    channels, classes = spec["backbone"]["fpn_channels"], len(spec["classes"])
    sizes, ratios = spec["anchors"]["sizes"], tuple(spec["anchors"]["ratios"])
    anchors = AnchorGenerator(tuple((size,) for size in sizes), (ratios,) * len(sizes))
    network = MaskRCNN(
        _backbone(spec["backbone"]),
        rpn_anchor_generator=anchors,
        rpn_head=RPNHead(channels, len(ratios), conv_depth=spec["rpn_depth"]),
        box_head=_box_head(spec["box_head"], channels),
        box_predictor=FastRCNNPredictor(spec["box_head"]["width"], classes),
        mask_roi_pool=torchvision.ops.MultiScaleRoIAlign(
            list(spec["backbone"]["return_layers"].values()), spec["mask_head"]["pooled"], sampling_ratio=2
        ),
        mask_head=_mask_head(spec["mask_head"], channels),
        mask_predictor=MaskRCNNPredictor(spec["mask_head"]["width"], spec["mask_head"]["width"], classes),
        **spec["arguments"],
    )
    if spec["backbone"]["frozen_norm_eps"] is not None:
        for module in network.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.eps = spec["backbone"]["frozen_norm_eps"]
    return network


class _ChannelsFirst(IntermediateLayerGetter):  # type: ignore[misc]
    """Layers that work on [n, h, w, c], as Swin's do, with maps handed out as [n, c, h, w]."""

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        return OrderedDict((name, out.permute(0, 3, 1, 2)) for name, out in super().forward(x).items())


def _backbone(spec: Mapping[str, Any]) -> BackboneWithFPN:
    stages = _stages(torchvision.models.get_model(spec["name"], weights=None))
    if spec["norm"] == "frozen_bn":
        _freeze_batch_norms(stages)
    layers = spec["return_layers"]
    backbone = BackboneWithFPN(
        stages,
        layers,
        spec["in_channels"],
        spec["fpn_channels"],
        extra_blocks=LastLevelMaxPool(),
        norm_layer=_NORMS[spec["fpn_norm"]],
    )
    if spec["channels_last"]:
        backbone.body = _ChannelsFirst(stages, layers)
    return backbone


def _stages(network: Any) -> nn.Sequential:
    """Return the layers before the classifier of a torchvision classification network."""
    if hasattr(network, "layer4"):
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
        return nn.Sequential(OrderedDict((name, getattr(network, name)) for name in names))
    if hasattr(network, "trunk_output"):
        return nn.Sequential(OrderedDict([("stem", network.stem), *network.trunk_output.named_children()]))
    features: nn.Sequential = network.features
    return features


def _freeze_batch_norms(stages: nn.Sequential) -> None:
    for parent in list(stages.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, FrozenBatchNorm2d(child.num_features, eps=child.eps))


def _box_head(spec: Mapping[str, Any], channels: int) -> nn.Module:
    if spec["convs"] == 0:
        return TwoMLPHead(channels * 7 * 7, spec["width"])  # type: ignore[no-any-return]
    fcs, convs = [spec["width"]] * spec["fcs"], [channels] * spec["convs"]
    return FastRCNNConvFCHead((channels, 7, 7), convs, fcs, norm_layer=_NORMS[spec["norm"]])  # type: ignore[no-any-return]


def _mask_head(spec: Mapping[str, Any], channels: int) -> nn.Module:
    layers = [spec["width"]] * spec["depth"]
    return MaskRCNNHeads(channels, layers, 1, norm_layer=_NORMS[spec["norm"]])  # type: ignore[no-any-return]
