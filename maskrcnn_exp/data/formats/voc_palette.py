"""Pascal VOC's colours, and masks that come as colours instead of numbers.

Colour i spreads the bits of i over red, green and blue (VOCcode/VOClabelcolormap.m of VOC's development kit). VOC's own
masks are palette pictures, whose pixels are the numbers; CVAT and datumaro write the colours themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.pictures import opened
from maskrcnn_exp.data.rle import Unusable
from maskrcnn_exp.errors import DataError

__all__ = ["VOID", "colour_number", "read_numbers", "voc_numbers"]

VOID: Final = 255
"""Neither object nor background: VOC's outlines, and what was too hard to annotate."""

Numbers = npt.NDArray[np.integer[Any]]


def voc_numbers() -> dict[int, int]:
    """The number of each of VOC's colours; 255, void, is (224, 224, 192)."""
    return {colour_number(*colour): number for number, colour in enumerate(_colours().tolist())}


def _colours() -> npt.NDArray[np.int64]:
    """The colours of the numbers 0 … 255: int64 [256, 3], red, green, blue."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours


def colour_number(red: int, green: int, blue: int) -> int:
    """One number for a colour."""
    return (red << 16) | (green << 8) | blue


def read_numbers(path: Path, number_of_colour: dict[int, int]) -> Numbers:
    """Read a mask as numbers [h, w]; 255 is void.

    Args:
        path: A palette, grey or colour picture.
        number_of_colour: What the colours of a colour picture mean.

    Raises:
        Unusable: it does not open, or has a colour without a number.
    """
    try:
        with opened(path) as picture:
            if picture.mode in ("P", "L", "1", "I", "I;16"):
                numbers: Numbers = np.array(picture, dtype=np.int32)
                return numbers
            pixels = np.array(picture.convert("RGB"), dtype=np.int64)
    except DataError:
        raise Unusable("mask does not open") from None
    found, where = np.unique(pixels @ (1 << 16, 1 << 8, 1), return_inverse=True)
    try:
        meant = [number_of_colour[colour] for colour in found.tolist()]
    except KeyError:
        raise Unusable("mask with colours that are not VOC's") from None
    drawn: Numbers = np.array(meant, dtype=np.int32)[where.reshape(pixels.shape[:2])]
    return drawn
