"""From the mask head's small masks straight to run-length codes; no mask is ever drawn in the picture.

torchvision resizes a small mask to its box bilinearly and compares each pixel with the threshold. Down one column
of pixels that resize is a line from each sample of the small mask to the next. So it is enough to find, in each
column, the lines that cross the threshold, and the first pixel behind each crossing: the runs follow from these.
All detections of a picture go through one set of array operations.

The pixels are torchvision's bit for bit. Weights are read off torch (`_resize`), and where a pixel comes so near to
the threshold that rounding could decide about it, its mask is doubtful: torch itself resizes those, a few in a hundred.

Shape letters: k detections, r the side of a small mask with a border of one sample, c columns of pixels of all
detections, n crossings in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from maskrcnn_exp.engine.rle_writer import compress_toggles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["paste_rles"]

_COLUMNS_AT_ONCE: Final = 4096  # what they need fits a core's own cache, and memory does not grow with the detections
_SIZES_KEPT: Final = 1024  # of `_resize`, at 20 bytes per pixel: 7 MB for pictures of 640 pixels
_ROUNDING: Final = 10 * 2.0**-24  # torch and we together round 7 times, by 2**-24 of the value at most


@dataclass(frozen=True, eq=False)
class _Resize:
    """How torch resizes r samples to some pixels: between which two samples each pixel lies, and where."""

    low: NDArray[np.int32]  # [pixels], the sample before it
    low_weight: NDArray[np.float32]  # [pixels]
    high_weight: NDArray[np.float32]  # [pixels], of the sample behind it
    places: NDArray[np.float64]  # [pixels + 2], low + high_weight, between -inf and inf


@dataclass(frozen=True, eq=False)
class _Window:
    """The part of a detection's box that lies in the picture: pixels x0 ≤ x < x1, y0 ≤ y < y1."""

    left: int  # of the box
    top: int
    x0: int
    x1: int
    y0: int
    y1: int
    across: _Resize
    down: _Resize


def paste_rles(
    mask_probs: NDArray[np.float32], boxes_xyxy: Tensor, height: int, width: int, threshold: float
) -> list[dict[str, Any]]:
    """Encode torchvision's `paste_masks_in_image(mask_probs, boxes_xyxy, (height, width)) > threshold`.

    Args:
        mask_probs: [k, r - 2, r - 2], 0 … 1.
        boxes_xyxy: float32 [k, 4] on the CPU; may reach over the picture's edges.
        threshold: 0 … 1.

    Returns:
        k compressed RLEs, equal to pycocotools' `encode` of the masks, counts as bytes.

    Raises:
        ValueError: the threshold is not in 0 … 1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold} must be 0 … 1: it is a probability.")
    count, inner = mask_probs.shape[:2]
    samples = np.zeros((count, inner + 2, inner + 2), dtype=np.float32)  # [k, r, r], first x, then y
    samples[:, 1:-1, 1:-1] = mask_probs.transpose(0, 2, 1)
    corners = _expand_boxes(boxes_xyxy, (inner + 2) / inner).tolist()
    windows = [_window(corner, inner + 2, height, width) for corner in corners]
    rles: list[dict[str, Any]] = []
    for first, last in _portions(windows):
        rles += _paste_portion(samples[first:last], windows[first:last], height, width, threshold)
    return rles


def _expand_boxes(boxes_xyxy: Tensor, scale: float) -> Tensor:
    """Scale boxes about their centres, then cut to whole pixels. float32 [k, 4] -> int64 [k, 4]."""
    import torch

    # The order of operations is torchvision's: another one rounds differently and moves a mask by a pixel.
    half = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) * 0.5 * scale  # [k, 2]
    centre = (boxes_xyxy[:, 2:] + boxes_xyxy[:, :2]) * 0.5  # [k, 2]
    return torch.cat([centre - half, centre + half], dim=1).to(torch.int64)


def _window(corner: list[int], samples: int, height: int, width: int) -> _Window:
    left, top, right, bottom = corner  # the last column and row belong to the box
    x0, x1 = max(left, 0), min(right + 1, width)
    y0, y1 = max(top, 0), min(bottom + 1, height)
    if x1 <= x0 or y1 <= y0:
        nothing = _resize(samples, 1)
        return _Window(left, top, 0, 0, 0, 0, nothing, nothing)
    return _Window(left, top, x0, x1, y0, y1, _resize(samples, right - left + 1), _resize(samples, bottom - top + 1))


@lru_cache(maxsize=_SIZES_KEPT)
def _resize(samples: int, pixels: int) -> _Resize:
    """Read the weights off torch: computed here, they would differ in the last bit on some processors."""
    import torch
    from torch.nn.functional import interpolate

    eye = torch.eye(samples)[None, None]
    weights = interpolate(eye, size=(pixels, samples), mode="bilinear", align_corners=False)[0, 0].numpy()
    row = np.arange(pixels)
    low = (weights != 0).argmax(axis=1)  # [pixels]
    high = np.minimum(low + 1, samples - 1)
    high_weight = np.where(high > low, weights[row, high], np.float32(0))
    places = np.concatenate(([-np.inf], low + high_weight.astype(np.float64), [np.inf]))
    return _Resize(low.astype(np.int32), weights[row, low], high_weight, places)


def _portions(windows: list[_Window]) -> list[tuple[int, int]]:
    """Cut the detections into ranges of about `_COLUMNS_AT_ONCE` columns."""
    portion = np.cumsum([window.x1 - window.x0 for window in windows]) // _COLUMNS_AT_ONCE
    bounds = [0, *(np.flatnonzero(np.diff(portion)) + 1).tolist(), len(windows)]
    return [(first, last) for first, last in pairwise(bounds) if last > first]


def _paste_portion(
    samples: NDArray[np.float32], windows: list[_Window], height: int, width: int, threshold: float
) -> list[dict[str, Any]]:
    # [k]; `_ROUNDING` holds for probabilities only
    doubtful: NDArray[np.bool_] = np.logical_not(((samples >= 0) & (samples <= 1)).all(axis=(1, 2)))
    certain = np.where(doubtful[:, None, None], np.float32(0), samples) if doubtful.any() else samples
    owners, toggles, doubts = _toggles(certain, windows, height, threshold)
    doubtful[doubts] = True
    if doubtful.any():
        kept = ~doubtful[owners]
        owners, toggles = owners[kept], toggles[kept]
    rles = compress_toggles(owners, toggles, len(windows), height, width)
    for number in np.flatnonzero(doubtful).tolist():
        toggles = _toggles_by_torch(samples[number], windows[number], height, threshold)
        rles[number] = compress_toggles(np.zeros_like(toggles), toggles, 1, height, width)[0]
    return rles


def _toggles(
    samples: NDArray[np.float32], windows: list[_Window], height: int, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return whose each crossing is, [n], the pixel that it toggles, [n], and the detections that are doubtful."""
    side = samples.shape[-1]
    widths = np.array([window.x1 - window.x0 for window in windows])  # [k]
    column_owner = np.repeat(np.arange(len(windows)), widths)  # [c]
    values = _resize_across(samples, windows, column_owner).ravel()  # [c · r]
    above = values > threshold * (1 + _ROUNDING)
    undecided = np.flatnonzero(above == (values < threshold * (1 - _ROUNDING)))
    # A column begins and ends with the border, below the threshold: no crossing goes from one column to the next.
    crossing = np.flatnonzero(above[1:] != above[:-1])  # [n]
    column, low = np.divmod(crossing, side)
    owners = column_owner[column]
    start, rise = values[crossing].astype(np.float64), np.subtract(values[crossing + 1], values[crossing], dtype=float)
    share = np.clip((threshold - start) / rise, 0, 1)  # of the line; beyond it only where a sample is undecided
    rows, distance = _rows_behind(low + share, owners, windows, side)
    too_near = np.flatnonzero(np.abs(rise) * distance <= threshold * _ROUNDING)
    x = np.arange(len(column_owner)) + np.repeat([window.x0 for window in windows] - _starts(widths), widths)  # [c]
    return owners, x[column] * height + rows, np.concatenate([column_owner[undecided // side], owners[too_near]])


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each piece starts when pieces of these sizes lie one behind the other."""
    starts: NDArray[np.int64] = np.cumsum(sizes) - sizes
    return starts


def _resize_across(
    samples: NDArray[np.float32], windows: list[_Window], column_owner: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Interpolate the samples for each column of pixels, float32 [c, r]."""
    side = samples.shape[-1]
    parts = [(window.across, slice(window.x0 - window.left, window.x1 - window.left)) for window in windows]
    low = np.concatenate([across.low[part] for across, part in parts])  # [c]
    low_weight = np.concatenate([across.low_weight[part] for across, part in parts])
    high_weight = np.concatenate([across.high_weight[part] for across, part in parts])
    lines = samples.reshape(-1, side)  # [k · r, r]
    first = column_owner * side
    values: NDArray[np.float32] = lines[first + low]
    values *= low_weight[:, None]
    behind = lines[first + np.minimum(low + 1, side - 1)]
    behind *= high_weight[:, None]
    values += behind
    return values


def _rows_behind(
    places: NDArray[np.float64], owners: NDArray[np.int64], windows: list[_Window], side: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the picture's row of the first pixel behind each place, and the distance to the nearer pixel beside it.

    Places and distances are in samples, [n]; rows end at the window's.
    """
    of_pixels = np.concatenate([window.down.places for window in windows])
    sizes = np.array([len(window.down.low) for window in windows])  # [k]
    first = (_starts(sizes + 2) + 1)[owners]  # of the box, in `of_pixels`
    # Torch rounds the pixels' places, so this can be one pixel off: then the distance is negative, the mask doubtful.
    pixels = ((places + 0.5) * (sizes / side)[owners] + 0.5).astype(np.int64)
    distance = np.minimum(of_pixels[first + pixels] - places, places - of_pixels[first + pixels - 1])
    y0, y1, top = np.array([(window.y0, window.y1, window.top) for window in windows]).T
    rows = np.clip(pixels, (y0 - top)[owners], (y1 - top)[owners]) + top[owners]
    return rows, distance


def _toggles_by_torch(
    samples: NDArray[np.float32], window: _Window, height: int, threshold: float
) -> NDArray[np.int64]:
    """Resize one mask as torchvision does, and return its toggles."""
    import torch
    from torch.nn.functional import interpolate

    size = (len(window.down.low), len(window.across.low))
    small = torch.from_numpy(samples.T.copy())[None, None]
    probs = interpolate(small, size=size, mode="bilinear", align_corners=False)[0, 0]
    rows = slice(window.y0 - window.top, window.y1 - window.top)
    columns = slice(window.x0 - window.left, window.x1 - window.left)
    picture = np.zeros((window.x1 - window.x0, height), dtype=np.bool_)  # down the columns
    picture[:, window.y0 : window.y1] = (probs[rows, columns] > threshold).numpy().T
    edges = np.diff(picture.ravel().view(np.int8), prepend=np.int8(0), append=np.int8(0))
    return np.flatnonzero(edges) + window.x0 * height
