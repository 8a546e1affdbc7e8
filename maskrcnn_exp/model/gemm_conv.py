"""Convolutions that are faster as one matrix product on a CPU: 1 × 1 everywhere, 3 × 3 on the smallest maps.

On a small map a convolution is a matrix product with few rows, and reading and rearranging its weights costs more than
multiplying. oneDNN's convolution rearranges them three times a step; the product reads them as they lie.
Parameters, names and results are Conv2d's.

Shape letters: n pictures, h × w map cells, c input channels, o output channels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GemmConv2d", "use_gemm_convolutions"]

_ROWS_PER_CHANNEL = 0.6
"""A 3 × 3 convolution is a product where n · h · w is below this many times its channels.

Measured with bfloat16 on two AMX cores, forward and backward together: 3.9 times oneDNN's speed at 72 rows of 512
channels, 1.9 times at 256, equal at 512; 2.0 times at 72 rows of 256 channels, 1.2 times at 256.
"""


class GemmConv2d(nn.Conv2d):
    """Conv2d that chooses a matrix product where that is faster: on a CPU, with channels-last input."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last):
            if self.kernel_size == (1, 1):
                return self._pointwise(x, weight, bias)
            if self._is_small(x):
                out: Tensor = _Conv3x3.apply(*_autocast(x, weight), self.stride)
                return out if bias is None else out + bias.to(out.dtype)[:, None, None]
        convolved: Tensor = super()._conv_forward(x, weight, bias)
        return convolved

    def _pointwise(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows, columns = self.stride
        cells = x.permute(0, 2, 3, 1)[:, ::rows, ::columns]  # [n, h, w, c]
        return F.linear(cells, weight.flatten(1), bias).permute(0, 3, 1, 2)

    def _is_small(self, x: Tensor) -> bool:
        if self.kernel_size != (3, 3):
            return False
        high, wide = _out_size(x, self.stride)
        rows = x.shape[0] * high * wide
        return 0 < rows < _ROWS_PER_CHANNEL * min(self.in_channels, self.out_channels)


def use_gemm_convolutions(network: nn.Module) -> None:
    """Let every convolution that can be a product choose; the modules keep their parameters and names."""
    for module in network.modules():
        if type(module) is nn.Conv2d and _is_plain(module):
            module.__class__ = GemmConv2d


def _is_plain(conv: nn.Conv2d) -> bool:
    padded = conv.padding == (conv.kernel_size[0] // 2, conv.kernel_size[1] // 2)
    square = conv.kernel_size in ((1, 1), (3, 3))
    return square and padded and conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"


def _autocast(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Convert as autocast converts the arguments of a convolution; a Function of ours it does not know."""
    if not torch.is_autocast_enabled("cpu"):
        return x, weight
    dtype = torch.get_autocast_dtype("cpu")
    return x.to(dtype), weight.to(dtype)


def _out_size(x: Tensor, stride: tuple[int, ...]) -> tuple[int, int]:
    return (x.shape[2] - 1) // stride[0] + 1, (x.shape[3] - 1) // stride[1] + 1


class _Conv3x3(torch.autograd.Function):
    """A 3 × 3 convolution with padding 1 as im2col and one product; x [n, c, h, w], weight [o, c, 3, 3]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        out = _columns(x, stride) @ _matrix(weight).t()  # [n * h * w, o]
        return out.view(x.shape[0], *_out_size(x, stride), weight.shape[0]).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        flat = gradients[0].permute(0, 2, 3, 1).reshape(-1, weight.shape[0])  # [n * h * w, o]
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _spread(flat @ _matrix(weight), x, ctx.stride)
        if ctx.needs_input_grad[1]:
            of_weight = (flat.t() @ _columns(x, ctx.stride)).view(-1, 3, 3, x.shape[1]).permute(0, 3, 1, 2)
        return of_x, of_weight, None


def _matrix(weight: Tensor) -> Tensor:
    """[o, c, 3, 3] to [o, 9 · c], without a copy where the weight is channels-last."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)


def _columns(x: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return the 3 × 3 surroundings of every output cell: [n, c, h, w] to [n * cells, 9 * c]."""
    (n, c), (high, wide) = x.shape[:2], _out_size(x, stride)
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()  # [n, h + 2, w + 2, c]
    picture, row, cell, _ = padded.stride()
    strides = (picture, row * stride[0], cell * stride[1], row, cell, 1)
    return padded.as_strided((n, high, wide, 3, 3, c), strides).reshape(n * high * wide, 9 * c)


def _spread(columns: Tensor, x: Tensor, stride: tuple[int, int]) -> Tensor:
    """Add the surroundings back to their cells, the transpose of `_columns`: [n * cells, 9 * c] to x's shape."""
    (n, c, h, w), (high, wide) = x.shape, _out_size(x, stride)
    parts = columns.view(n, high, wide, 3, 3, c)
    dtype = torch.promote_types(columns.dtype, torch.float32)  # nine bfloat16 sums would round nine times
    padded = columns.new_zeros((n, h + 2, w + 2, c), dtype=dtype)
    for row in range(3):
        for column in range(3):
            rows = slice(row, row + (high - 1) * stride[0] + 1, stride[0])
            cells = slice(column, column + (wide - 1) * stride[1] + 1, stride[1])
            padded[:, rows, cells] += parts[:, :, :, row, column]
    return padded[:, 1:-1, 1:-1].to(x.dtype).permute(0, 3, 1, 2)
