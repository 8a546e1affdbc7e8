"""Any timm network that gives feature maps, as a pyramid; the optional extra `timm`.

Source: timm's `features_only` networks, https://huggingface.co/docs/timm/feature_extraction
"""

from __future__ import annotations

import difflib
import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.model.backbone import STRIDES, norm_layer

__all__ = ["PREFIX", "TimmMaps", "build_timm_fpn", "freeze_timm_stages", "is_timm", "timm_maps", "timm_module"]

PREFIX = "timm/"
_PROBES = ((64, 64), (96, 160))  # pixels; the transform pads to multiples of 32


def is_timm(backbone: str) -> bool:
    return backbone.startswith(PREFIX)


def timm_module() -> Any:
    """Return timm, imported when it is needed: that takes seconds.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ConfigError("model.backbone=timm/… needs timm: pip install 'maskrcnn-exp[timm]'") from error
    return timm


@dataclass(frozen=True)
class _Level:
    """One map of the network that the pyramid is built on."""

    index: int  # among the network's outputs
    stride: int
    channels: int
    module: str  # name of the module that gives it


class TimmMaps(nn.Module):
    """A timm network as a pyramid's body: picture → maps "0", "1", … [n, c, h, w] with rising strides."""

    def __init__(self, net: nn.Module, levels: list[_Level]) -> None:
        super().__init__()
        self.net = net
        self.levels = levels
        self._channels_last = str(getattr(net, "output_fmt", "")).endswith("NHWC")

    @property
    def strides(self) -> list[int]:
        return [level.stride for level in self.levels]

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        outs = self.net(x)
        maps = [outs[level.index] for level in self.levels]
        if self._channels_last:  # Swin's [n, h, w, c]
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        return OrderedDict((str(place), one) for place, one in enumerate(maps))


def timm_maps(name: str, norm: str) -> TimmMaps:
    """Return the maps with strides 4 to 32 of a timm network, without trained weights.

    Dropout and stochastic depth are off: they draw from the global generator, so a resumed run would go another way.
    Parameters that no map depends on do not learn.

    Args:
        name: as `timm/convnext_tiny`.
        norm: bn keeps the network's own norm layers; frozen_bn exchanges its batch norms for fixed ones.

    Raises:
        ConfigError: timm is not installed or has no such network, or it gives no pyramid for pictures of any size.
    """
    timm = timm_module()
    known = name.removeprefix(PREFIX)
    if not timm.is_model(known) or ("." in known and known not in timm.list_pretrained(known)):
        raise ConfigError(_unknown(timm, known))
    net = _features(timm, known)
    maps = TimmMaps(net, _levels(net, name))
    if norm == "frozen_bn":
        maps.net = _with_frozen_norms(maps.net, name)
    _switch_off_randomness(maps)
    _probe(maps, name)
    return maps


def _unknown(timm: Any, known: str) -> str:
    name, _, tag = known.partition(".")
    names = timm.list_models()
    if name in names:
        tags = ", ".join(one.partition(".")[2] for one in timm.list_pretrained(f"{name}.*"))
        return f"model.backbone={PREFIX}{known}: timm has no weights {tag!r} for {name}. It has: {tags or 'none'}."
    near = difflib.get_close_matches(name, names, n=3)
    hint = f" Did you mean {', '.join(PREFIX + one for one in near)}?" if near else ""
    return (
        f"model.backbone={PREFIX}{known}: timm has no such network.{hint} "
        f"python -c 'import timm; print(timm.list_models())' lists its {len(names)}."
    )


def _features(timm: Any, known: str) -> nn.Module:
    # Swin's are built for one size of pictures unless told otherwise; other families do not know the word.
    for options in ({"strict_img_size": False}, {}):
        try:
            net: nn.Module = timm.create_model(known, features_only=True, **options)
            return net
        except TypeError as error:
            if "strict_img_size" not in str(error):
                raise ConfigError(_no_maps(known, error)) from error
        except (RuntimeError, AttributeError, AssertionError, ValueError) as error:
            raise ConfigError(_no_maps(known, error)) from error
    raise ConfigError(_no_maps(known, "none of timm's ways to make them fits"))


def _no_maps(known: str, why: object) -> str:
    reason = str(why).partition("\n")[0]
    return f"model.backbone={PREFIX}{known}: timm gives no feature maps of this network ({reason}). Choose another one."


def _levels(net: Any, name: str) -> list[_Level]:
    """Return the last map of each of STRIDES."""
    info = net.feature_info
    found = {
        stride: _Level(index, stride, channels, module)
        for index, (stride, channels, module) in enumerate(
            zip(info.reduction(), info.channels(), info.module_name(), strict=True)
        )
    }
    levels = [found[stride] for stride in STRIDES if stride in found]
    if len(levels) < 2:
        raise ConfigError(
            f"model.backbone={name}: its maps have stride {', '.join(map(str, sorted(found)))}; a pyramid needs two or "
            f"more of {', '.join(map(str, STRIDES))}. Plain vision transformers have one stride: use a ConvNeXt, Swin, "
            "ResNet, EfficientNet, RegNet, PVT, …"
        )
    return levels


def _with_frozen_norms(net: nn.Module, name: str) -> nn.Module:
    from timm.utils.model import freeze_batch_norm_2d

    if not any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
        raise ConfigError(
            f"model.backbone_norm=frozen_bn: {name} has no batch norm to freeze. "
            "Use model.backbone_norm=bn, which keeps the network's own norm layers."
        )
    frozen: nn.Module = freeze_batch_norm_2d(net)  # ours would lose the activation that timm's norms hold
    return frozen


def _switch_off_randomness(maps: TimmMaps) -> None:
    from timm.layers import DropPath

    for module in maps.modules():
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0


def _probe(maps: TimmMaps, name: str) -> None:
    """Try pictures of two sizes, compare with what timm says of the maps, and freeze parameters that none needs."""
    was_training = maps.training
    maps.eval()
    for height, width in _PROBES:
        try:
            outs = maps(torch.zeros(1, 3, height, width)).values()
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"model.backbone={name}: this network takes pictures of certain sizes only ({reason}); Mask R-CNN's "
                "are of any size. Use a ConvNeXt, Swin, ResNet, EfficientNet, RegNet, PVT, …"
            ) from error
        shapes = [tuple(one.shape[1:]) for one in outs]
        told = [(level.channels, height // level.stride, width // level.stride) for level in maps.levels]
        if shapes != told:
            raise ConfigError(f"model.backbone={name}: maps {shapes} of a {height} × {width} picture, not {told}.")
    parameters = list(maps.parameters())
    reached = torch.autograd.grad(sum(one.float().sum() for one in outs), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, reached, strict=True):
        if gradient is None:
            parameter.requires_grad_(False)
    maps.train(was_training)


def build_timm_fpn(maps: TimmMaps, fpn_channels: int, fpn_norm: str) -> BackboneWithFPN:
    """Put torchvision's FPN with one extra max-pooled level on the maps."""
    stand_in = nn.ModuleDict({"maps": nn.Identity()})  # torchvision's class looks for its layers among named children
    backbone = BackboneWithFPN(
        stand_in,
        {"maps": "0"},
        [level.channels for level in maps.levels],
        fpn_channels,
        extra_blocks=LastLevelMaxPool(),
        norm_layer=norm_layer(fpn_norm),
    )
    backbone.body = maps
    return backbone


def freeze_timm_stages(maps: TimmMaps, name: str, trainable_stages: int) -> None:
    """Freeze all but the last `trainable_stages` stages, the stem and one per map; -1 freezes none.

    Raises:
        ConfigError: the network's modules do not tell where its stages end.
    """
    if trainable_stages < 0:
        return
    owners = [f"{path.removeprefix('model.')}.".replace(".", "_") for path, _ in maps.net.named_parameters()]
    bounds = [0]
    for level in maps.levels:
        prefix = f"{level.module}.".replace(".", "_")  # timm writes stages.0 as stages_0 where it cuts a network
        places = [place for place, owner in enumerate(owners) if owner.startswith(prefix)]
        if not places:
            raise ConfigError(
                f"model.trainable_stages={trainable_stages}: the stages of {name} cannot be told apart. "
                "Use model.trainable_stages=-1, or lr.backbone_mult to let all of it learn slowly."
            )
        bounds += [places[0], places[-1] + 1] if len(bounds) == 1 else [places[-1] + 1]
    first_trainable = bounds[max(0, len(bounds) - 1 - trainable_stages)]
    for parameter in itertools.islice(maps.net.parameters(), first_trainable):
        parameter.requires_grad_(False)
