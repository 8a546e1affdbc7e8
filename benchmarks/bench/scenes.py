"""Pictures of any size with any number of objects, drawn in milliseconds: bright ellipses on noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from maskrcnn_exp.data.masks import boxes_from_masks
from maskrcnn_exp.data.target import Sample

__all__ = ["draw_batches", "draw_scene", "ellipse"]


def ellipse(height: int, width: int, centre: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.uint8]:
    """Return a mask uint8 [h, w]; `centre` and `radii` are y, x in pixels."""
    y, x = np.ogrid[:height, :width]
    inside = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1
    return inside.astype(np.uint8)


def draw_scene(index: int, size: tuple[int, int], objects: int, classes: int = 3, seed: int = 0) -> Sample:
    """Return one picture; its objects measure a tenth to a third of the shorter side."""
    rng = np.random.default_rng([seed, index])
    height, width = size
    masks = np.zeros((objects, height, width), dtype=np.uint8)
    image = rng.integers(0, 90, (3, height, width), dtype=np.uint8)
    for mask in masks:
        radii = rng.uniform(0.05, 0.16, 2) * min(size)
        mask[:] = ellipse(height, width, tuple(rng.uniform(0.1, 0.9, 2) * size), tuple(radii))
        image[:, mask > 0] += rng.integers(60, 160, (3, 1), dtype=np.uint8)
    labels = torch.from_numpy(rng.integers(1, classes + 1, objects))
    drawn = torch.from_numpy(masks)
    target = {"boxes": boxes_from_masks(drawn), "labels": labels, "masks": drawn}
    return Sample(torch.from_numpy(image), target, index, seed=index)  # type: ignore[arg-type]


def draw_batches(
    batches: int, batch_size: int, sizes: Sequence[tuple[int, int]], objects: int, classes: int = 3
) -> list[list[Sample]]:
    """Return batches whose pictures take the sizes (height, width) in turns."""
    pictures = [draw_scene(index, sizes[index % len(sizes)], objects, classes) for index in range(batches * batch_size)]
    return [pictures[start : start + batch_size] for start in range(0, len(pictures), batch_size)]
