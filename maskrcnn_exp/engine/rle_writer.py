"""Compressed run-length codes of many masks at once, in numpy; `pycocotools` writes one mask per call.

A mask is kept as its toggles: the pixels, counted down the columns, at which its value changes, the first change
being from background to object. COCO writes the runs between them, and packs each into characters (data/rle.py tells
how).

Shape letters: n toggles of all masks, k masks, m runs of all masks (m = n + k), h × w pixels.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["compress_toggles"]

_BITS: Final = 5  # of a number in one character
_MORE: Final = 1 << _BITS  # set where another character follows
_FIRST_CHARACTER: Final = ord("0")
_FITS_BELOW: Final = np.array([1 << (_BITS * count - 1) for count in range(1, 8)])  # the top bit is the sign


def compress_toggles(
    owners: NDArray[np.int64], toggles: NDArray[np.int64], count: int, height: int, width: int
) -> list[dict[str, Any]]:
    """Return the RLEs of `count` masks, each equal to pycocotools' `encode` of the mask.

    Args:
        owners: [n], rising: which mask a toggle belongs to, 0 … count - 1.
        toggles: [n], rising within a mask, 0 … height · width, an even number of them per mask. Two at one pixel
            cancel out.
        count: Number of masks; those without toggles are empty.
    """
    pixels = height * width
    owners, toggles = _without_pairs(owners, toggles)
    runs, first = _runs(owners, toggles, count, pixels)
    starts, text = _characters(runs, first)
    bounds = [*starts[first].tolist(), len(text)]
    size = [height, width]  # one list for all: each one more is work for the garbage collector
    return [{"size": size, "counts": text[start:end]} for start, end in pairwise(bounds)]


def _without_pairs(
    owners: NDArray[np.int64], toggles: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep one of each odd number of equal toggles, and none of an even number."""
    equal = (toggles[1:] == toggles[:-1]) & (owners[1:] == owners[:-1])
    if not equal.any():
        return owners, toggles
    last = np.flatnonzero(np.append(~equal, True))  # of its equals
    kept = last[(np.diff(last, prepend=-1) & 1) == 1]
    return owners[kept], toggles[kept]


def _runs(
    owners: NDArray[np.int64], toggles: NDArray[np.int64], count: int, pixels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the lengths of all runs, [m], and the place of each mask's first one, [k].

    A mask's last run is 0 where its object reaches the picture's last pixel.
    """
    own = np.bincount(owners, minlength=count) + 1  # [k], runs of a mask
    behind = np.cumsum(own)
    first = behind - own
    ends = np.empty(len(toggles) + count, dtype=np.int64)  # [m], where a run ends
    ends[np.arange(len(toggles)) + owners] = toggles
    ends[behind - 1] = pixels
    runs = ends.copy()
    runs[1:] -= ends[:-1]
    runs[first] = ends[first]
    return runs, first


def _characters(runs: NDArray[np.int64], first: NDArray[np.int64]) -> tuple[NDArray[np.int64], bytes]:
    """Return where each run's characters start, [m], and the characters of all masks.

    Source: `rleToString` in pycocotools' maskApi.c.
    """
    place = np.arange(len(runs)) - np.repeat(first, np.diff(first, append=len(runs)))  # [m], of a run in its mask
    numbers = runs.copy()
    later = np.flatnonzero(place > 2)
    numbers[later] -= runs[later - 2]
    lengths = np.searchsorted(_FITS_BELOW, numbers ^ (numbers >> 63), side="right") + 1  # [m], characters
    lengths[(runs == 0) & (place > 0)] = 0  # only the last run of a mask can be empty: it is not written
    behind = np.cumsum(lengths)
    starts = behind - lengths
    text = np.empty(behind[-1] if len(behind) else 0, dtype=np.uint8)
    written = np.flatnonzero(lengths)
    for character in range(int(lengths.max(initial=0))):
        written = written[lengths[written] > character]
        more = (lengths[written] > character + 1) * _MORE
        low_bits = (numbers[written] >> (_BITS * character)) & (_MORE - 1)
        text[starts[written] + character] = low_bits + more + _FIRST_CHARACTER
    return starts, text.tobytes()
