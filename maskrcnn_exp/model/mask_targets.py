"""What the mask head has to learn for each region: its object's mask, seen through the region's grid.

torchvision turns all masks of a picture into full-resolution floats and reads a few regions of them. Here only the
pixels that a region can read are cut out.

Shape letters: n objects of one picture, k regions of one picture, r side of the grid, H × W pixels of the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import project_masks_on_boxes

__all__ = ["cut_mask_targets", "project_masks"]

_ROUNDING = 1e-3
"""Pixels by which a region may pass the picture's edge: resizing rounds, and no sampling point lies that far out."""


def cut_mask_targets(masks: list[Tensor], boxes: list[Tensor], matched: list[Tensor], resolution: int) -> Tensor:
    """Return what torchvision's project_masks_on_boxes returns picture by picture, to rounding.

    Args:
        masks: uint8 [n, H, W] of each picture, 0 or 1.
        boxes: float32 [k, 4] of each picture, x1 y1 x2 y2 within it.
        matched: int64 [k] of each picture, the object of each region.
        resolution: r.

    Returns:
        float32 [Σk, r, r], 0..1.
    """
    regions = torch.cat(boxes)
    if len(regions) == 0:
        return regions.new_zeros((0, resolution, resolution))
    # floor, and one more on either side: a sampling point reads the pixels around it.
    start = regions[:, :2].floor() - 1  # [Σk, 2]
    end = torch.maximum(regions[:, 2:], regions[:, :2] + 1)  # a region below a pixel is read as one pixel long
    cut = (end.ceil() + 1 - start).amax(dim=0)
    wide, high, beyond = (int(value) for value in torch.cat([cut, _beyond(end, masks, boxes)]).tolist())
    more_work = len(regions) * high * wide >= sum(picture.numel() for picture in masks)
    if more_work or beyond:
        return _whole(masks, boxes, matched, resolution)
    starts = torch.split(start, [len(picture) for picture in boxes])
    cuts = torch.cat([_cut(*of_picture, high, wide) for of_picture in zip(masks, matched, starts, strict=True)])
    own = torch.arange(len(regions), device=regions.device)
    return _read(cuts[:, None].float(), own, regions - start.repeat(1, 2), resolution)


def _whole(masks: list[Tensor], boxes: list[Tensor], matched: list[Tensor], resolution: int) -> Tensor:
    """Return the targets out of the uncut masks."""
    pictures = zip(masks, matched, boxes, strict=True)
    return torch.cat([_read(whole[:, None].float(), index, own, resolution) for whole, index, own in pictures])


def _read(maps: Tensor, index: Tensor, boxes: Tensor, resolution: int) -> Tensor:
    """Read each box's grid of its map: float32 [m, 1, h, w], int64 [k], float32 [k, 4] to [k, r, r].

    By the operator itself: where deterministic algorithms are asked for, torchvision's function compiles another one,
    for the sake of a gradient that a mask does not have.
    """
    places = torch.cat([index[:, None].to(boxes), boxes], dim=1)
    targets: Tensor = torch.ops.torchvision.roi_align(maps, places, 1.0, resolution, resolution, -1, False)[:, 0]
    return targets


def project_masks(masks: list[Tensor], boxes: list[Tensor], matched: list[Tensor], resolution: int) -> Tensor:
    """Return the same by torchvision's own function."""
    pictures = zip(masks, boxes, matched, strict=True)
    return torch.cat([project_masks_on_boxes(*of_picture, resolution) for of_picture in pictures])


def _beyond(end: Tensor, masks: list[Tensor], boxes: list[Tensor]) -> Tensor:
    """Return float [1]: whether a region is read beyond its picture, where roi_align reads zeros, a cut more pixels."""
    sizes = torch.tensor([[mask.shape[2], mask.shape[1]] for mask in masks], dtype=end.dtype)
    of_region = sizes.repeat_interleave(torch.tensor([len(of_picture) for of_picture in boxes]), dim=0)
    limit = of_region.to(end.device, non_blocking=True) + _ROUNDING
    return (end > limit).any()[None].to(end.dtype)


def _cut(masks: Tensor, matched: Tensor, start: Tensor, high: int, wide: int) -> Tensor:
    """Cut a window out of each region's mask: uint8 [n, H, W] to [k, high, wide]."""
    rows = _pixels(start[:, 1], high, masks.shape[1])  # [k, high]
    columns = _pixels(start[:, 0], wide, masks.shape[2])  # [k, wide]
    return masks[matched[:, None, None], rows[:, :, None], columns[:, None, :]]


def _pixels(start: Tensor, length: int, size: int) -> Tensor:
    """Return the pixels of one side of each cut, int64 [k, length].

    Beyond the picture's edge its last pixel is repeated: there roi_align reads it too.
    """
    return (start.long()[:, None] + torch.arange(length, device=start.device)).clamp(0, size - 1)
