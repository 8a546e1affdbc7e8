"""Run lengths from strangers: checked here, because pycocotools reads past the end of damaged ones.

A mask is written column by column as the lengths of its runs, background first. COCO packs each length into
characters of 6 bits from "0" on: 5 bits of the number, low ones first, and one that says that more follow. From
the fourth run on, the difference to the run before the previous one is stored. (maskApi.c, rleToString)
"""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

__all__ = ["Unusable", "checked_rle", "draw_runs", "mask_of_counts", "runs_of_counts"]

_CHARACTERS_PER_RUN = 7  # 35 bits, more than any run of a picture needs
_LONGEST_RUN = 2**32 - 1


class Unusable(Exception):  # noqa: N818 - it is a verdict on one mask, not a fault of the program
    """A mask that cannot be used; the message is the reason, a short phrase."""


def checked_rle(counts: object, size: object) -> tuple[bytes, int, int]:
    """Return compressed run lengths with the height and width of an RLE from an annotation file.

    Args:
        counts: The run lengths, a list, or compressed in a string.
        size: [height, width].

    Raises:
        Unusable: damaged, without a pixel, or with runs that do not fill height × width exactly.
    """
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise Unusable("RLE without a size")
    height, width = size
    written = counts.encode("utf-8", "replace") if isinstance(counts, str) else None
    runs = _runs_of_list(counts) if written is None else runs_of_counts(written)
    if int(runs.sum()) != height * width:
        raise Unusable("RLE does not fill its size")
    if not runs[1::2].any():
        raise Unusable("mask without a pixel")
    if not runs[1:].all():  # pycocotools finds wrong boxes for masks with runs of length 0
        runs = _without_zeros(runs)
        written = None
    return written or _compressed(runs, height, width), height, width


def draw_runs(runs: npt.NDArray[np.int64], mask: npt.NDArray[np.uint8]) -> None:
    """Set the pixels of a mask uint8 [h, w] that holds zeros. Only the columns with pixels are touched."""
    height = mask.shape[0]
    runs = runs[: len(runs) // 2 * 2]  # without the background behind the last pixel
    first, last = int(runs[0]) // height, -(-int(runs.sum()) // height)  # columns, `last` is one behind
    ends = np.concatenate((runs, [last * height - runs.sum()]))
    ends[0] -= first * height
    values = (np.arange(len(ends)) % 2).astype(np.uint8)
    mask[:, first:last] = np.repeat(values, ends).reshape(last - first, height).T


def _without_zeros(runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Join the runs around each one of length 0."""
    values = np.arange(len(runs)) % 2
    runs, values = runs[runs > 0], values[runs > 0]
    first = np.concatenate(([0], np.flatnonzero(np.diff(values)) + 1))
    joined = np.add.reduceat(runs, first)
    return joined if values[0] == 0 else np.concatenate(([0], joined))


def _compressed(runs: npt.NDArray[np.int64], height: int, width: int) -> bytes:
    size = [height, width]
    compressed: bytes = coco_mask.frPyObjects({"size": size, "counts": runs.tolist()}, height, width)["counts"]
    return compressed


def runs_of_counts(counts: bytes) -> npt.NDArray[np.int64]:
    """Decode compressed counts to run lengths, int64 [r]. Raises Unusable where they are damaged."""
    codes = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    more = (codes & 0x20) != 0
    if len(codes) == 0 or codes.min() < 0 or codes.max() > 0x3F or more[-1]:
        raise Unusable("RLE does not decode")
    last = np.flatnonzero(~more)  # [r], last character of each run
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(len(codes)) - np.repeat(first, last - first + 1)  # of a character in its run
    if place.max() >= _CHARACTERS_PER_RUN:
        raise Unusable("RLE does not decode")
    numbers = np.add.reduceat((codes & 0x1F) << (5 * place), first)
    negative = (codes[last] & 0x10) != 0
    numbers -= np.where(negative, np.int64(1) << (5 * (place[last] + 1)), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    if numbers.min() < 0 or numbers.max() > _LONGEST_RUN:
        raise Unusable("RLE does not decode")
    return numbers


def _runs_of_list(counts: object) -> npt.NDArray[np.int64]:
    if not isinstance(counts, list) or not counts:
        raise Unusable("RLE does not decode")
    try:
        runs = np.array(array("q", counts), dtype=np.int64)
    except (TypeError, OverflowError):
        raise Unusable("RLE does not decode") from None
    if runs.min() < 0 or runs.max() > _LONGEST_RUN:
        raise Unusable("RLE does not decode")
    return runs


def mask_of_counts(counts: bytes, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return the mask of compressed run lengths that this program made: uint8 [h, w], 0 or 1."""
    mask = np.zeros((height, width), dtype=np.uint8)
    runs = runs_of_counts(counts)
    if len(runs) > 1:  # not a mask without a pixel
        draw_runs(runs, mask)
    return mask
