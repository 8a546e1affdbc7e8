"""Any torchvision classification network as a pyramid of feature maps with strides 4, 8, 16 and 32."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FrozenBatchNorm2d, StochasticDepth
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from maskrcnn_exp.errors import ConfigError

__all__ = ["STRIDES", "build_fpn", "build_stages", "freeze_stages", "norm_layer"]

STRIDES = (4, 8, 16, 32)
_PROBE_SIDE = 64  # pixels; the smallest picture in which stride 32 still leaves a 2 × 2 map


def norm_layer(name: str) -> Callable[..., nn.Module] | None:
    """Return the norm class of a configuration word: bn, frozen_bn, or None for none."""
    layers: dict[str, Callable[..., nn.Module] | None] = {
        "bn": nn.BatchNorm2d,
        "frozen_bn": FrozenBatchNorm2d,
        "none": None,
    }
    return layers[name]


def build_stages(name: str, norm: str) -> nn.Sequential:
    """Return the feature layers of a torchvision classification network, in order, without its classifier.

    ResNets keep torchvision's own child names (conv1 … layer4), so published detection weights fit. Stochastic depth
    is off.

    Raises:
        ConfigError: no such network, one without feature maps, or one without batch norms to freeze.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ConfigError(f"model.backbone={name}: torchvision has no such network. It has: {', '.join(known)}.")
    stages = _feature_layers(torchvision.models.get_model(name, weights=None), name)
    if norm == "frozen_bn":
        _freeze_batch_norms(stages, name)
    for module in stages.modules():
        if isinstance(module, StochasticDepth):
            module.p = 0.0  # it draws from the global generator, so a resumed run would go another way
    return stages


def _feature_layers(network: Any, name: str) -> nn.Sequential:  # torchvision's families share no type
    if hasattr(network, "layer4"):
        names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
        return nn.Sequential(OrderedDict((child, getattr(network, child)) for child in names))
    if hasattr(network, "trunk_output"):
        return nn.Sequential(OrderedDict([("stem", network.stem), *network.trunk_output.named_children()]))
    features = getattr(network, "features", None)
    if isinstance(features, nn.Sequential):
        return features
    raise ConfigError(
        f"model.backbone={name}: this network gives no feature maps to build a pyramid on. "
        "Use a ResNet, ResNeXt, RegNet, MobileNet, EfficientNet, ConvNeXt, DenseNet, Swin or VGG."
    )


def _freeze_batch_norms(stages: nn.Sequential, name: str) -> None:
    """Exchange batch norms for ones with fixed statistics.

    torchvision's `norm_layer=FrozenBatchNorm2d` would lose the eps that MobileNetV3 was trained with, put batch norms
    where ConvNeXt and Swin have layer norms, and is not known to DenseNet.
    """
    places = [
        (parent, child_name, child)
        for parent in stages.modules()
        for child_name, child in parent.named_children()
        if isinstance(child, nn.BatchNorm2d)
    ]
    if not places:
        raise ConfigError(
            f"model.backbone_norm=frozen_bn: {name} has no batch norm to freeze. "
            "Use model.backbone_norm=bn, which keeps the network's own norm layers."
        )
    for parent, child_name, child in places:
        frozen = FrozenBatchNorm2d(child.num_features, eps=child.eps)
        frozen.load_state_dict(child.state_dict())
        setattr(parent, child_name, frozen)


def build_fpn(stages: nn.Sequential, name: str, fpn_channels: int, fpn_norm: str) -> BackboneWithFPN:
    """Put torchvision's FPN with one extra max-pooled level on the last layer of each stride.

    Args:
        stages: as `build_stages` returns them.
        name: the network's name, for the error.
        fpn_channels: channels of every pyramid level.
        fpn_norm: none or bn.
    """
    taps = _last_layer_per_stride(stages, name)
    return_layers = {tap.child: str(level) for level, tap in enumerate(taps)}
    backbone = BackboneWithFPN(
        stages,
        return_layers,
        [tap.channels for tap in taps],
        fpn_channels,
        extra_blocks=LastLevelMaxPool(),
        norm_layer=norm_layer(fpn_norm),
    )
    if taps[0].channels_last:
        backbone.body = _ChannelsFirstLayers(stages, return_layers)
    return backbone


@dataclass(frozen=True)
class _Tap:
    """The last layer of one stride."""

    child: str
    channels: int
    channels_last: bool  # gives [n, h, w, c]


class _ChannelsFirstLayers(IntermediateLayerGetter):  # type: ignore[misc]
    """Layers that work on [n, h, w, c], as Swin's do, with maps handed out as [n, c, h, w]."""

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        return OrderedDict((name, out.permute(0, 3, 1, 2)) for name, out in super().forward(x).items())


def _last_layer_per_stride(stages: nn.Sequential, name: str) -> list[_Tap]:
    """Return the tap of each of STRIDES, found by one forward pass."""
    found: dict[int, _Tap] = {}
    was_training = stages.training
    stages.eval()
    x = torch.zeros(1, 3, _PROBE_SIDE, _PROBE_SIDE)
    with torch.no_grad():
        for child, module in stages.named_children():
            x = module(x)
            channels_last = x.shape[1] == x.shape[2] != x.shape[3]
            side, channels = (x.shape[1], x.shape[3]) if channels_last else (x.shape[2], x.shape[1])
            found[_PROBE_SIDE // side] = _Tap(child, channels, channels_last)
    stages.train(was_training)
    missing = [stride for stride in STRIDES if stride not in found]
    if missing:
        raise ConfigError(
            f"model.backbone={name}: no layer with stride {', '.join(map(str, missing))}; "
            f"a pyramid needs strides {', '.join(map(str, STRIDES))}."
        )
    return [found[stride] for stride in STRIDES]


def freeze_stages(backbone: BackboneWithFPN, trainable_stages: int) -> None:
    """Freeze all but the last `trainable_stages` of the body's five stages; -1 freezes none.

    The stages are the stem and one per pyramid level; for a ResNet that is torchvision's `trainable_layers`.
    """
    if trainable_stages < 0:
        return
    children = [child for child, _ in backbone.body.named_children()]
    taps = [children.index(child) for child in backbone.body.return_layers]
    bounds = [0, taps[0], *(tap + 1 for tap in taps)]
    first_trainable = bounds[max(0, len(bounds) - 1 - trainable_stages)]
    for child in children[:first_trainable]:
        getattr(backbone.body, child).requires_grad_(False)
