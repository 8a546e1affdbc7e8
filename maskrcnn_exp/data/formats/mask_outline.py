"""A mask that a reader made, as the `segmentation` of a COCO annotation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

__all__ = ["outline_of_mask"]


def outline_of_mask(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return the compressed run lengths of a mask [h, w], as they stand in a JSON file."""
    rle = coco_mask.encode(np.asfortranarray(mask.view(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode("ascii")}
