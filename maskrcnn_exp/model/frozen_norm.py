"""Frozen batch norms folded into the convolution before them.

torchvision's FrozenBatchNorm2d multiplies and adds over the whole map, and with float32 statistics it lifts a bfloat16
map to float32, which every later operation pays for. A frozen norm is a fixed scale and shift per channel, so
    norm(conv(x, w)) = conv(x, w · scale) + shift
with a product over the weights instead of one over the map. Parameters, buffers, names and results stay torchvision's.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from maskrcnn_exp.model.depthwise_conv import Float32DepthwiseConv2d
from maskrcnn_exp.model.gemm_conv import GemmConv2d

__all__ = ["fold_frozen_norms"]

_IN_ORDER = (nn.Sequential, BasicBlock, Bottleneck, ResNet)
"""Modules that run a convolution and the norm that they list behind it one after the other."""


def fold_frozen_norms(network: nn.Module) -> None:
    """Let each convolution with a frozen norm right behind it do the norm's work; call after the other takeovers.

    The statistics are read at every call, so that weights may be loaded before or after.
    """
    for module in network.modules():
        if not isinstance(module, (*_IN_ORDER, nn.ModuleDict)):  # a backbone cut to its stages is a ModuleDict
            continue
        for conv, norm in pairwise(module.children()):
            if type(conv) in _FOLDED and conv.bias is None and type(norm) is FrozenBatchNorm2d:
                conv.__class__ = _FOLDED[type(conv)]
                conv.norm_behind = (norm,)  # in a tuple: a module of its own it must not become
                norm.__class__ = _Folded


class _Folded(FrozenBatchNorm2d):  # type: ignore[misc]
    """A norm whose work the convolution before it has done."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.no_grad()
    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return float32 [c] twice: norm(x) = x · scale + shift."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale


class _NormedConv2d(nn.Conv2d):
    norm_behind: tuple[_Folded]

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = self.norm_behind[0].scale_and_shift()
        normed: Tensor = self._conv_forward(x, self.weight * scale[:, None, None, None], shift)
        return normed


class _NormedGemmConv2d(_NormedConv2d, GemmConv2d):
    pass


class _NormedDepthwiseConv2d(_NormedConv2d, Float32DepthwiseConv2d):
    pass


_FOLDED: dict[type[nn.Module], type[_NormedConv2d]] = {
    nn.Conv2d: _NormedConv2d,
    GemmConv2d: _NormedGemmConv2d,
    Float32DepthwiseConv2d: _NormedDepthwiseConv2d,
}
