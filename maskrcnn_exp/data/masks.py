"""What follows from masks alone: boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from maskrcnn_exp.errors import DataError

__all__ = ["boxes_from_masks"]


def boxes_from_masks(masks: Tensor) -> Tensor:
    """Return the extent of each mask.

    Args:
        masks: uint8 [n, h, w], 0 or 1.

    Returns:
        float32 [n, 4], x1 y1 x2 y2 in pixels; x2 is the last column + 1, so that x2 > x1 and y2 > y1.

    Empty input (n = 0) gives a [0, 4] tensor. A mask without a pixel raises DataError with its index.
    """
    count, height, width = masks.shape
    if count == 0:
        return torch.zeros((0, 4), dtype=torch.float32)
    columns = masks.amax(dim=1) > 0  # [n, w]
    rows = masks.amax(dim=2) > 0  # [n, h]
    empty = (~columns.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise DataError(f"mask {empty[0]} of {count} is empty (0 of {height}×{width} pixels set). Remove it.")
    # argmax gives the first of equal values, so it finds the first set row or column.
    left, top = columns.int().argmax(dim=1), rows.int().argmax(dim=1)  # [n]
    right = width - columns.flip(1).int().argmax(dim=1)
    bottom = height - rows.flip(1).int().argmax(dim=1)
    return torch.stack([left, top, right, bottom], dim=1).float()
