"""Pictures of instance numbers: reading them, and one binary mask per number.

Shape letters: h × w pixels, n instances.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from maskrcnn_exp.data.pictures import opened
from maskrcnn_exp.errors import DataError

__all__ = ["instance_ids", "masks_of_ids", "read_ids", "read_ids_or_reason"]

Ids = npt.NDArray[np.integer[Any]]

_ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
_LARGEST_ID = 65535
_MOST_INSTANCES = 5000  # a mask each of the whole picture: more would fill any memory


def read_ids(path: Path) -> Ids:
    """Read the instance numbers [h, w]; of a palette picture the indices, not the colours.

    Raises:
        DataError: the file is damaged, has colour channels, or holds numbers outside 0 … 65535, or more than 5,000.
    """
    with opened(path) as picture:
        if picture.mode not in _ONE_CHANNEL:
            raise _unexpected(path, f"a picture of mode {picture.mode}")
        ids: Ids = np.array(picture, dtype=np.int32)
    if ids.min() < 0 or ids.max() > _LARGEST_ID:
        raise _unexpected(path, f"numbers from {ids.min()} to {ids.max()}")
    if (number := len(instance_ids(ids))) > _MOST_INSTANCES:
        raise _unexpected(path, f"{number} different numbers, more than {_MOST_INSTANCES}: a picture, not a mask")
    return ids


def read_ids_or_reason(path: Path) -> Ids | str:
    """Read as `read_ids`, but return the reason, a short phrase, where that fails."""
    try:
        return read_ids(path)
    except DataError:
        return "mask has colour channels" if _has_channels(path) else "mask does not open"


def instance_ids(ids: Ids) -> tuple[int, ...]:
    """The numbers that occur in [h, w], without the background's 0, ascending."""
    return tuple((np.flatnonzero(np.bincount(ids.ravel())[1:]) + 1).tolist())


def masks_of_ids(ids: Ids, values: tuple[int, ...]) -> Tensor:
    """One mask per value: uint8 [n, h, w], 0 or 1."""
    numbers = np.array(values, dtype=ids.dtype)
    return torch.from_numpy((ids[None] == numbers[:, None, None]).view(np.uint8))


def _has_channels(path: Path) -> bool:
    try:
        with opened(path) as picture:
            return len(Image.Image.getbands(picture)) > 1
    except DataError:
        return False


def _unexpected(path: Path, got: str) -> DataError:
    return DataError(
        f"{path}: the mask is {got}. Expected one channel (palette, 8-bit or 16-bit grey) whose values are "
        "0 for the background and 1, 2, … for the instances. Colour-coded masks must be converted first."
    )
