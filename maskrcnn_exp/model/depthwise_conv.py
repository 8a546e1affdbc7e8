"""Depthwise convolutions with a stride, in float32 on a CPU.

oneDNN has no fast bfloat16 gradient for them: measured on two AMX cores, 96 channels of 128 × 128 with stride 2, the
gradient of the input takes 26 ms in bfloat16 and 0.8 ms in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Float32DepthwiseConv2d", "use_float32_depthwise"]


class Float32DepthwiseConv2d(nn.Conv2d):
    """Conv2d that computes in float32 inside CPU autocast and returns autocast's dtype, as every convolution there."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            plain: Tensor = super()._conv_forward(x, weight, bias)
            return plain
        with torch.autocast("cpu", enabled=False):
            out: Tensor = super()._conv_forward(x.float(), weight, bias)
        return out.to(torch.get_autocast_dtype("cpu"))


def use_float32_depthwise(network: nn.Module) -> None:
    """Take over every depthwise convolution with a stride; the modules keep their parameters and names."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels > 1 and max(module.stride) > 1:
            module.__class__ = Float32DepthwiseConv2d
