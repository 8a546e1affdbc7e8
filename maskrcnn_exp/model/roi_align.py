"""RoIAlign as matrix products, the same numbers as torchvision's operator and faster on a CPU.

The sampling points of one region form a grid, and bilinear weights factor over its two axes, so
    out = Wy · F · Wxᵀ
with the averaged weights of the sampling points as small dense matrices. torchvision's CPU backward is serial; matrix
products are not. A dense product grows with the map's area, so regions of a large map are gathered by tiles, and each
tile's regions are multiplied with the window of the map that they reach. A GPU takes torchvision's operator, except
where the same weights are wanted twice: the operator's gradient adds up in no fixed order.

Shape letters: n pictures, k regions, p = output side, h × w the feature map or a window of it, c channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.poolers import LevelMapper, _convert_to_roi_format

__all__ = ["ROUND_REGIONS", "MatrixRoiAlign", "axis_weights", "roi_align_matrix"]

_WHOLE = 8192
"""Map cells up to which all regions of a picture are multiplied with the whole map."""

_TILE = 32
"""Map cells along a tile's side. A smaller tile multiplies fewer zeros, and has more products to start."""

_PRODUCT = 2**22
"""Numbers between the two products up to which several pictures are multiplied at once, 8 MB of bfloat16."""

_ROUND_CELLS, ROUND_REGIONS = 16, 16
"""Windows and groups grow to multiples of these: oneDNN compiles a kernel for every new shape, milliseconds each."""


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
    height, width = feature.shape[-2:]
    regions = torch.cat(boxes) * spatial_scale
    rows = _padded(axis_weights(regions[:, 1], regions[:, 3], output_size, sampling_ratio, height), feature.dtype)
    columns = _padded(axis_weights(regions[:, 0], regions[:, 2], output_size, sampling_ratio, width), feature.dtype)
    counts = [len(picture_boxes) for picture_boxes in boxes]
    groups = list(_groups(regions, counts, output_size, feature.shape))
    with torch.autocast(feature.device.type, enabled=False):  # the products keep the map's dtype
        pooled: Tensor = _Pool.apply(feature.permute(0, 2, 3, 1), rows, columns, groups)
    return pooled.permute(0, 3, 1, 2)


def _padded(weights: Tensor, dtype: torch.dtype) -> Tensor:
    """Append the weights of no region: zeros."""
    return torch.cat([weights.to(dtype), weights.new_zeros((1, *weights.shape[1:]), dtype=dtype)])


@dataclass(frozen=True)
class _Group:
    """Regions that are multiplied together, and the window of their pictures' maps that holds all they read."""

    pictures: slice  # m pictures
    members: Tensor  # int64 [m, k], places among all regions; Σk stands for none
    top: int
    bottom: int
    left: int
    right: int


def _groups(regions: Tensor, counts: list[int], output_size: int, shape: torch.Size) -> Iterator[_Group]:
    """Gather regions, float32 [Σk, 4] in map cells: all of a few pictures, or those near each other in one."""
    _, channels, height, width = shape
    starts = [0, *accumulate(counts)]
    if height * width > _WHOLE:
        for picture, count in enumerate(counts):
            if count:
                yield from _tiled(picture, regions, slice(starts[picture], starts[picture + 1]), height, width)
        return
    longest = -(-max(counts) // ROUND_REGIONS) * ROUND_REGIONS
    places = torch.arange(longest).expand(len(counts), -1)
    members = torch.tensor(starts[:-1])[:, None] + places
    members[places >= torch.tensor(counts)[:, None]] = len(regions)
    members = members.to(regions.device)
    together = max(1, _PRODUCT // max(1, longest * output_size * width * channels))
    for first in range(0, len(counts) if longest else 0, together):
        pictures = slice(first, min(first + together, len(counts)))
        yield _Group(pictures, members[pictures], 0, height, 0, width)


def _tiled(picture: int, regions: Tensor, own: slice, height: int, width: int) -> Iterator[_Group]:
    """Gather the regions of one picture by the tile that their centre lies in."""
    x1, y1, x2, y2 = regions[own].nan_to_num(nan=0.0).unbind(dim=1)  # what is not finite reads nothing or NaN anywhere
    across = width // _TILE + 1
    column = ((x1 + x2) / 2 / _TILE).long().clamp(0, across - 1)
    row = ((y1 + y2) / 2 / _TILE).long().clamp(0, height // _TILE)
    tile = row * across + column
    sizes = torch.bincount(tile)
    # A region shorter than one cell is read as one cell long.
    reach = torch.stack([x1, y1, -torch.maximum(x2, x1 + 1), -torch.maximum(y2, y1 + 1)], dim=1)
    for members in torch.split(tile.argsort(stable=True), sizes[sizes > 0].tolist()):
        left, top, right, bottom = reach[members].amin(dim=0).tolist()
        padding = members.new_full((-len(members) % ROUND_REGIONS,), len(regions))
        padded = torch.cat([members + own.start, padding])
        vertical, horizontal = _span(top, -bottom, height), _span(left, -right, width)
        yield _Group(slice(picture, picture + 1), padded[None], *vertical, *horizontal)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the cells that points between `low` and `high` read; points beyond the map read its edge."""
    first = min(max(int(low), 0), size - 1)
    last = min(max(int(high) + 2, first + 1), size)  # a point reads the cell behind it too
    length = min(-(-(last - first) // _ROUND_CELLS) * _ROUND_CELLS, size)
    first = min(first, size - length)
    return first, first + length


class _Pool(torch.autograd.Function):
    """Wy · F · Wxᵀ, group by group: feature [n, h, w, c], rows [k + 1, p, h], columns [k + 1, p, w] to [k, p, p, c].

    The gradient of the map adds up in one buffer; autograd would make a map of zeros for every group.
    """

    @staticmethod
    def forward(ctx: Any, feature: Tensor, rows: Tensor, columns: Tensor, groups: Sequence[_Group]) -> Tensor:
        ctx.save_for_backward(rows, columns)
        ctx.groups, ctx.shape = groups, feature.shape
        size, channels = rows.shape[1], feature.shape[3]
        pooled = feature.new_empty((len(rows), size, size, channels))
        for group in groups:
            y, x = _weights(rows, columns, group)
            window = feature[group.pictures, group.top : group.bottom, group.left : group.right].flatten(2)
            lines = torch.bmm(y.flatten(1, 2), window)  # [m, k * p, w * c]
            lines = lines.view(*y.shape[:3], -1, channels)  # [m, k, p, w, c]
            pooled[group.members] = x[:, :, None] @ lines  # [m, k, p, p, c]
        return pooled[:-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        rows, columns = ctx.saved_tensors
        gradient = F.pad(gradients[0], (0, 0, 0, 0, 0, 0, 0, 1))  # of no region
        of_map = gradient.new_zeros(ctx.shape)
        for group in ctx.groups:
            y, x = _weights(rows, columns, group)
            lines = x.transpose(2, 3)[:, :, None] @ gradient[group.members]  # [m, k, p, w, c]
            window = torch.bmm(y.flatten(1, 2).transpose(1, 2), lines.flatten(3).flatten(1, 2))  # [m, h, w * c]
            place = of_map[group.pictures, group.top : group.bottom, group.left : group.right]
            place += window.view(place.shape)
        return of_map, None, None, None


def _weights(rows: Tensor, columns: Tensor, group: _Group) -> tuple[Tensor, Tensor]:
    """Return a group's weights, [m, k, p, h] and [m, k, p, w]."""
    y, x = rows[..., group.top : group.bottom], columns[..., group.left : group.right]
    return y[group.members], x[group.members]


class MatrixRoiAlign(MultiScaleRoIAlign):  # type: ignore[misc]
    """torchvision's MultiScaleRoIAlign with fixed level scales and, where `fast`, the matrix form on a CPU.

    torchvision guesses the scales from the first batch and keeps the guess; here they are the backbone's
    strides, so that the result never depends on which pictures came first.
    """

    def __init__(self, strides: list[int], output_size: int, sampling_ratio: int = 2, *, fast: bool = True) -> None:
        names = [str(level) for level in range(len(strides))]
        super().__init__(names, output_size, sampling_ratio)
        self.fast = fast
        self.scales = [1.0 / stride for stride in strides]
        levels = [stride.bit_length() - 1 for stride in strides]
        self.map_levels = LevelMapper(levels[0], levels[-1])

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        maps = [x[name] for name in self.featmap_names]
        if self.by_matrices(maps[0].device):
            return self._forward_matrix(maps, boxes)
        if self.fast:
            return self._forward_operator(maps, boxes)
        pooled: Tensor = super().forward(x, boxes, image_shapes)
        return pooled

    def by_matrices(self, device: torch.device) -> bool:
        """Say whether regions of maps on this device are pooled by matrix products.

        On a GPU torchvision's operator is faster, and adds up its gradient in whichever order the threads come.
        """
        return self.fast and (device.type == "cpu" or torch.are_deterministic_algorithms_enabled())

    def _forward_operator(self, maps: list[Tensor], boxes: list[Tensor]) -> Tensor:
        """torchvision's forward with the regions ordered by level: the device is waited for once, not per level."""
        regions = _convert_to_roi_format(boxes)
        levels = self.map_levels(boxes).clamp(0, len(maps) - 1)
        order = levels.argsort(stable=True)
        counts = (levels == torch.arange(len(maps), device=levels.device)[:, None]).sum(dim=1).tolist()
        of_level = zip(maps, torch.split(regions[order], counts), self.scales, strict=True)
        pooled = [roi_align(m, own, self.output_size, scale, self.sampling_ratio) for m, own, scale in of_level]
        together = torch.cat(pooled)
        return torch.empty_like(together).index_copy(0, order, together)

    def _forward_matrix(self, maps: list[Tensor], boxes: list[Tensor]) -> Tensor:
        levels = self.map_levels(boxes).clamp(0, len(maps) - 1)  # [Σk]; the level of NaN is any number
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
