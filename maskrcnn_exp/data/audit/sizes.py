"""Objects against the model's geometry: anchors, the cells of the finest feature map, the mask's resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.audit.findings import Findings, Severity
from maskrcnn_exp.data.audit.split import Objects, Split
from maskrcnn_exp.data.ground_truth import Rle
from maskrcnn_exp.data.rle import draw_runs, runs_of_counts

__all__ = ["SIZE_CHECKS", "Geometry", "best_anchor_iou", "check_sizes", "resolution_iou"]

Floats = npt.NDArray[np.float64]

SIZE_CHECKS: Final = (
    "too-small-for-anchors",
    "too-large-for-anchors",
    "too-long-for-anchors",
    "below-feature-cell",
    "mask-resolution",
)
"""Checks whose findings follow from the model's configuration as much as from the data."""

_BACKGROUND_IOU: Final = 0.3  # below it an anchor is background for torchvision's RPN
_FINEST_CELL: Final = 4.0  # pixels of the network's picture per cell of the pyramid's finest level
_SAMPLE: Final = 500  # objects whose masks are drawn at the mask head's resolution
_LOW_IOU: Final = 0.8
_HALF: Final = 128  # of 255
_CHOSEN_BY: Final = 50_000  # objects that decide which anchor sizes are proposed
_SERIOUS: Final = 0.01  # share of the objects from which on it is more than a note


@dataclass(frozen=True)
class Geometry:
    """What of a model's configuration decides which objects it can see."""

    min_size: int  # shorter side of the network's picture, pixels
    max_size: int  # longer side at most
    anchor_sizes: tuple[float, ...]
    anchor_ratios: tuple[float, ...]  # height over width
    mask_resolution: int

    def scales(self, sizes: npt.NDArray[np.int64]) -> Floats:
        """By how much pictures of height and width [n, 2] grow on their way into the network: float64 [n]."""
        short, long = np.maximum(sizes.min(axis=1), 1), np.maximum(sizes.max(axis=1), 1)
        result: Floats = np.minimum(self.min_size / short, self.max_size / long)
        return result


def check_sizes(split: Split, geometry: Geometry, findings: Findings) -> None:
    """Find objects that the configured model can hardly see."""
    objects = split.instances()
    if len(objects) == 0:
        return
    sides = (objects.boxes[:, 2:] - objects.boxes[:, :2]) * geometry.scales(split.sizes[objects.pictures])[:, None]
    _check_anchors(objects, sides, geometry, findings)
    _check_cells(objects, sides, geometry, findings)
    _check_resolution(split, objects, geometry, findings)


def best_anchor_iou(sides: Floats, sizes: Sequence[float], ratios: Sequence[float]) -> Floats:
    """Return the IoU of each box with the anchor that fits it best, centred on it: float64 [n].

    Args:
        sides: float64 [n, 2], width and height in pixels of the network's picture.
        sizes: Sides of a square with the anchor's area.
        ratios: Height over width, as torchvision's AnchorGenerator takes it.
    """
    best = np.zeros(len(sides))
    for size in sizes:
        for ratio in ratios:
            # Rounded as torchvision rounds them, half a side at a time.
            width, height = 2 * round(size / math.sqrt(ratio) / 2), 2 * round(size * math.sqrt(ratio) / 2)
            inside = np.minimum(sides[:, 0], width) * np.minimum(sides[:, 1], height)
            best = np.maximum(best, inside / (sides.prod(axis=1) + width * height - inside))
    return best


def resolution_iou(mask: npt.NDArray[np.uint8], resolution: int) -> float:
    """Return the IoU of a mask, uint8 [h, w] cut to its box, with itself after resolution × resolution pixels.

    The way of a perfect mask head: averaged down as the target is, then up again by bilinear interpolation, cut at 0.5.
    """
    height, width = mask.shape
    small = Image.fromarray(mask.astype(np.float32)).resize((resolution, resolution), Image.Resampling.BOX)
    again = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)) >= 0.5
    union = int((again | (mask > 0)).sum())
    return int((again & (mask > 0)).sum()) / union if union else 1.0


def _check_anchors(objects: Objects, sides: Floats, geometry: Geometry, findings: Findings) -> None:
    misfit = best_anchor_iou(sides, geometry.anchor_sizes, geometry.anchor_ratios) < _BACKGROUND_IOU
    if not misfit.any():
        return
    small = misfit & (sides.prod(axis=1) < min(geometry.anchor_sizes) ** 2)
    large = misfit & (sides.prod(axis=1) > max(geometry.anchor_sizes) ** 2)
    sizes = _fitting_sizes(sides, geometry)
    left = int((best_anchor_iou(sides, sizes, geometry.anchor_ratios) < _BACKGROUND_IOU).sum())
    to_do = "Cut the pictures into tiles, or change model.min_size."
    if left < 0.5 * misfit.sum():
        to_do = f"model.anchor_sizes=[{','.join(map(str, sizes))}] leaves {left} of {int(misfit.sum())}."
    at = f"at model.min_size={geometry.min_size}, anchors {[round(size) for size in geometry.anchor_sizes]}"
    for check, which, size in (
        ("too-small-for-anchors", small, "small"),
        ("too-large-for-anchors", large, "large"),
        ("too-long-for-anchors", misfit & ~small & ~large, "long"),
    ):
        says = (
            f"Too {size} for every anchor ({at}): even the best fitting one overlaps it by less than 0.3, which counts "
            f"as background. {_share(which)} of the objects."
        )
        _report(findings, check, _severity(which), objects.take(which), says, to_do)


def _fitting_sizes(sides: Floats, geometry: Geometry) -> list[int]:
    """Five anchor sizes, each twice the one before, that leave the fewest objects without an anchor."""
    some = sides[:: max(1, len(sides) // _CHOSEN_BY)]

    def left(smallest: int) -> int:
        sizes = [smallest * 2**level for level in range(5)]
        return int((best_anchor_iou(some, sizes, geometry.anchor_ratios) < _BACKGROUND_IOU).sum())

    smallest = min((64, 32, 16, 8, 4), key=left)
    return [smallest * 2**level for level in range(5)]


def _check_cells(objects: Objects, sides: Floats, geometry: Geometry, findings: Findings) -> None:
    small = sides.min(axis=1) < _FINEST_CELL
    if not small.any():
        return
    grown = geometry.min_size * _FINEST_CELL / float(np.median(sides[small].min(axis=1)))
    to_do = "Cut the pictures into tiles."
    if grown <= 2 * geometry.min_size:
        side = math.ceil(grown / 32) * 32
        longest = max(geometry.max_size, math.ceil(geometry.max_size * side / geometry.min_size))
        to_do = f"model.min_size=[{side}] model.max_size={longest} brings half of them above it."
    says = (
        f"Less than 4 pixels wide or high in the network's picture (model.min_size={geometry.min_size}): below one "
        f"cell of the finest features, so the mask head sees next to nothing. {_share(small)} of the objects."
    )
    _report(findings, "below-feature-cell", _severity(small), objects.take(small), says, to_do)


def _check_resolution(split: Split, objects: Objects, geometry: Geometry, findings: Findings) -> None:
    chosen = np.unique(np.linspace(0, len(objects) - 1, min(_SAMPLE, len(objects))).astype(np.int64))
    sample = objects.take(chosen)
    crops = [_crop(split.draw(number)[0], 8 * geometry.mask_resolution) for number in sample.numbers[:, None]]
    resolution = geometry.mask_resolution
    ious = np.array([resolution_iou(crop, resolution) for crop in crops])
    low = ious < _LOW_IOU
    if low.mean() <= _SERIOUS:
        return
    finer = np.array([resolution_iou(crop, 2 * resolution) for crop in crops])
    says = (
        f"Of {len(sample)} objects looked at, {int(low.sum())} keep less than 0.8 IoU at the mask head's "
        f"{resolution}×{resolution} pixels, however well it learns; the mean is {ious.mean():.3f}."
    )
    left, mean = int((finer < _LOW_IOU).sum()), finer.mean()
    to_do = f"model.mask_head.resolution={2 * resolution} would leave {left}, mean {mean:.3f}."
    _report(findings, "mask-resolution", "warning", sample.take(low), says, to_do)


def _crop(rle: Rle, longest: int) -> npt.NDArray[np.uint8]:
    """The mask within its box, sides reduced to `longest`; the rest of a large picture is not drawn."""
    left, top, width, height = (int(value) for value in coco_mask.toBbox(rle))
    runs = runs_of_counts(rle["counts"])
    runs[0] -= left * rle["size"][0]
    columns = np.zeros((rle["size"][0], width), dtype=np.uint8)
    draw_runs(runs, columns)
    crop = columns[top : top + height]
    if max(width, height) <= longest:
        return crop
    size = min(width, longest), min(height, longest)
    smaller = Image.fromarray(crop * np.uint8(255)).resize(size, Image.Resampling.BOX)
    return (np.asarray(smaller) >= _HALF).astype(np.uint8)


def _share(which: npt.NDArray[np.bool_]) -> str:
    return f"{100 * float(which.mean()):.1f} %"


def _severity(which: npt.NDArray[np.bool_]) -> Severity:
    return "warning" if which.mean() > _SERIOUS else "note"


def _report(findings: Findings, check: str, severity: Severity, objects: Objects, says: str, to_do: str) -> None:
    findings.add(check, severity, "annotation", objects.ids.tolist(), says, to_do, objects.numbers.tolist())
