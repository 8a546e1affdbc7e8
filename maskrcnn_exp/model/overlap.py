"""How much boxes overlap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["iou"]


def iou(rows: Sequence[Tensor], columns: Sequence[Tensor], column_area: Tensor | None = None) -> Tensor:
    """Return torchvision's box_iou, for one picture or for several at once.

    Args:
        rows: x1, y1, x2, y2 of some boxes, each float32 [..., r].
        columns: The same of others, each float32 [..., c].
        column_area: Their area where it is known, float32 [..., c].

    Returns:
        float32 [..., r, c]; NaN where neither of two boxes has an area.
    """
    x1, y1, x2, y2 = (side[..., :, None] for side in rows)
    left, top, right, bottom = (side[..., None, :] for side in columns)
    width = (torch.minimum(x2, right) - torch.maximum(x1, left)).clamp_(min=0)
    height = (torch.minimum(y2, bottom) - torch.maximum(y1, top)).clamp_(min=0)
    shared = width.mul_(height)
    beside = _area(columns) if column_area is None else column_area
    return shared / (_area(rows)[..., :, None] + beside[..., None, :] - shared)


def _area(sides: Sequence[Tensor]) -> Tensor:
    """Return the area of boxes given by their columns x1, y1, x2, y2, each float32 [..., k]."""
    x1, y1, x2, y2 = sides
    return (x2 - x1) * (y2 - y1)
