"""RoIAlign as two matrix products, the same numbers as torchvision's operator and faster on a CPU.

The sampling points of one region form a grid, and bilinear weights factor over its two axes, so
    out = Wy · F · Wxᵀ
with the averaged weights of the sampling points as small dense matrices. torchvision's CPU backward is serial;
two matrix products are not. Large maps, and every other device, take torchvision's own operator.

Shape letters: k regions of one picture, p = output side, h × w the feature map, c channels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

__all__ = ["MatrixRoiAlign", "axis_weights", "roi_align_matrix"]

_LARGEST_MAP = 64 * 64
"""Feature maps with more cells take torchvision's operator: the dense product grows with the map's area."""


def axis_weights(low: Tensor, high: Tensor, output_size: int, sampling_ratio: int, map_size: int) -> Tensor:
    """Return the weight of each map cell for each output cell along one axis.

    A sampling point at y reads the map with the hat function max(0, 1 - |y - cell|) after y is clamped into the
    map; a point outside [-1, map_size] reads nothing. This is torchvision's rule with `aligned=False`.

    Args:
        low: float32 [k], start of each region in map cells.
        high: float32 [k], end of each region in map cells.
        output_size: p, output cells per region.
        sampling_ratio: points per output cell, > 0.
        map_size: cells of the map along this axis.

    Returns:
        float32 [k, p, map_size]; rows sum to at most 1.

    Source: He et al. 2017, "Mask R-CNN", section 3; torchvision csrc/ops/cpu/roi_align_common.h.
    """
    cell = (high - low).clamp(min=1.0) / output_size  # [k]
    offsets = (torch.arange(output_size * sampling_ratio, device=low.device) + 0.5) / sampling_ratio
    points = low[:, None] + cell[:, None] * offsets  # [k, p * s]
    inside = (points >= -1.0) & (points <= map_size)
    clamped = points.clamp(0, map_size - 1)
    distance = (clamped[..., None] - torch.arange(map_size, device=low.device)).abs()  # [k, p * s, map]
    weights = (1 - distance).clamp(min=0) * inside[..., None]
    return weights.view(len(low), output_size, sampling_ratio, map_size).mean(dim=2)


def roi_align_matrix(
    feature: Tensor, boxes: list[Tensor], output_size: int, spatial_scale: float, sampling_ratio: int
) -> Tensor:
    """Pool regions from one feature map.

    Args:
        feature: float [n, c, h, w].
        boxes: one float32 [k_i, 4] per picture, x1 y1 x2 y2 in pixels.
        output_size: p.
        spatial_scale: map cells per pixel.
        sampling_ratio: points per output cell and axis, > 0.

    Returns:
        [Σk, c, p, p] in the feature's dtype, channels-last in memory.
    """
    _, channels, height, width = feature.shape
    regions = torch.cat(boxes) * spatial_scale
    rows = axis_weights(regions[:, 1], regions[:, 3], output_size, sampling_ratio, height).to(feature.dtype)
    columns = axis_weights(regions[:, 0], regions[:, 2], output_size, sampling_ratio, width).to(feature.dtype)
    pooled = []
    counts = [len(picture_boxes) for picture_boxes in boxes]
    # unbind, not feature[i]: the gradient of an index is a zero-filled map of the whole batch, once per picture.
    pictures = feature.permute(0, 2, 3, 1).unbind()  # n × [h, w, c]
    regions_of = zip(pictures, torch.split(rows, counts), torch.split(columns, counts), strict=True)
    for cells, y, x in regions_of:
        lines = y.reshape(-1, height) @ cells.reshape(height, width * channels)  # [k * p, w * c]
        lines = lines.view(len(y), output_size, width, channels)
        pooled.append(x[:, None] @ lines)  # [k, p, p, c]
    return torch.cat(pooled).permute(0, 3, 1, 2)


class MatrixRoiAlign(MultiScaleRoIAlign):  # type: ignore[misc]
    """torchvision's MultiScaleRoIAlign with fixed level scales and the matrix form on a CPU.

    torchvision guesses the scales from the first batch and keeps the guess; here they are the backbone's
    strides, so that the result never depends on which pictures came first.
    """

    def __init__(self, strides: list[int], output_size: int, sampling_ratio: int = 2) -> None:
        names = [str(level) for level in range(len(strides))]
        super().__init__(names, output_size, sampling_ratio)
        self.scales = [1.0 / stride for stride in strides]
        levels = [stride.bit_length() - 1 for stride in strides]
        self.map_levels = LevelMapper(levels[0], levels[-1])

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        maps = [x[name] for name in self.featmap_names]
        if maps[0].device.type != "cpu" or maps[0].shape[-2] * maps[0].shape[-1] > _LARGEST_MAP:
            pooled: Tensor = super().forward(x, boxes, image_shapes)
            return pooled
        return self._forward_matrix(maps, boxes)

    def _forward_matrix(self, maps: list[Tensor], boxes: list[Tensor]) -> Tensor:
        levels = self.map_levels(boxes)  # [Σk]
        levels_by_picture = levels.split([len(picture_boxes) for picture_boxes in boxes])
        pooled, positions = [], []
        for level, (feature, scale) in enumerate(zip(maps, self.scales, strict=True)):
            here = torch.where(levels == level)[0]
            if here.numel() == 0 and level > 0:
                continue
            chosen = [b[picked == level] for b, picked in zip(boxes, levels_by_picture, strict=True)]
            pooled.append(
                roi_align_matrix(feature, chosen, self.output_size[0], scale, self.sampling_ratio).to(maps[0].dtype)
            )
            positions.append(here)
        if len(pooled) == 1:
            return pooled[0]
        order = torch.cat(positions).argsort()
        return torch.cat(pooled)[order]
