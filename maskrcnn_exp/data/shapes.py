"""Circles, squares and triangles, drawn on the fly: a dataset that needs no file and is never the same twice.

Sample i is a pure function of (seed, start + i). Training pictures count from 0 and validation pictures from
`VAL_START`, so the two never meet. The masks are the visible pixels, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from maskrcnn_exp.data.ground_truth import ground_truth_of_masks
from maskrcnn_exp.data.masks import boxes_from_masks
from maskrcnn_exp.data.shapes_drawing import Layout, Scene, draw_layout, paint
from maskrcnn_exp.data.target import Category, DatasetSummary, GroundTruth, Sample
from maskrcnn_exp.errors import ConfigError, DataError

__all__ = ["VAL_START", "ShapesDataset"]

VAL_START: Final = 10_000_000
"""First picture number of the validation pictures."""

_CATEGORIES: Final = (Category(1, "circle"), Category(2, "square"), Category(3, "triangle"))


@dataclass(frozen=True)
class ShapesDataset:
    """`size` pictures of `image_size`² pixels, beginning with picture number `start`.

    A picture has `min_objects` to `max_objects` objects; fewer where no more fit, never one with less than
    12 visible pixels. Radii are shares of `image_size`. `occlusion` is how much of an object later ones may
    cover, `contrast` the least distance of each colour channel from the background under the object (as far
    as the range has room), `texture` the strength of the pattern on both, `noise` the standard deviation of
    the pixel noise; 1 = full range for the last three.
    """

    seed: int
    start: int
    size: int
    image_size: int = 128
    min_objects: int = 1
    max_objects: int = 5
    min_radius: float = 0.08
    max_radius: float = 0.25
    occlusion: float = 0.3
    contrast: float = 0.5
    texture: float = 0.3
    noise: float = 0.05

    def __post_init__(self) -> None:
        problems = [
            f"{name}={value} must be {expected}."
            for name, value, expected, fine in (
                ("seed", self.seed, "≥ 0", self.seed >= 0),
                ("start", self.start, "≥ 0", self.start >= 0),
                ("size", self.size, "≥ 1", self.size >= 1),
                ("image_size", self.image_size, "≥ 16 pixels", self.image_size >= 16),
                ("min_objects", self.min_objects, "0 … max_objects", 0 <= self.min_objects <= self.max_objects),
                ("min_radius", self.min_radius, "0 < … ≤ max_radius", 0 < self.min_radius <= self.max_radius),
                ("max_radius", self.max_radius, "≤ 0.5", self.max_radius <= 0.5),
                ("occlusion", self.occlusion, "0 … 1", 0 <= self.occlusion <= 1),
                ("contrast", self.contrast, "0 … 1", 0 <= self.contrast <= 1),
                ("texture", self.texture, "0 … 1", 0 <= self.texture <= 1),
                ("noise", self.noise, "0 … 1", 0 <= self.noise <= 1),
            )
            if not fine
        ]
        if problems:
            raise ConfigError.from_problems([f"shapes: {problem}" for problem in problems])

    @property
    def categories(self) -> tuple[Category, ...]:
        return _CATEGORIES

    def __len__(self) -> int:
        return self.size

    def load(self, index: int) -> Sample:
        """Draw picture `index`: image uint8 [3, s, s] with s = image_size."""
        rng = self._rng(index)
        layout = draw_layout(self._scene(), rng)
        masks = _masks(layout)
        return Sample(
            image=torch.from_numpy(paint(layout, self._scene(), rng)),
            target={
                "boxes": boxes_from_masks(masks),
                "labels": torch.tensor(layout.labels, dtype=torch.int64),
                "masks": masks,
            },
            index=index,
        )

    def image_id(self, index: int) -> int:
        """The picture's number: `start` + position."""
        self._check(index)
        return self.start + index

    def annotation_ids(self, index: int) -> list[int | str]:
        """`<picture number>/<object>`, counted from 1 in the order of drawing."""
        count = len(draw_layout(self._scene(), self._rng(index)).labels)
        return [f"{self.start + index}/{number}" for number in range(1, count + 1)]

    def ground_truth(self) -> GroundTruth:
        """Draws every picture's masks anew (not its colours); meant for validation sets."""
        return ground_truth_of_masks(
            _CATEGORIES,
            (
                (f"shapes/{self.start + index}", _masks(layout), torch.tensor(layout.labels, dtype=torch.int64))
                for index, layout in enumerate(self._layouts())
            ),
        )

    def summary(self) -> DatasetSummary:
        """Counts the objects by placing all of them: about half a millisecond per picture."""
        counts = [len(layout.labels) for layout in self._layouts()]
        return DatasetSummary(
            images=self.size,
            instances=sum(counts),
            negatives=counts.count(0),
            crowd=0,
            max_objects=max(counts),
        )

    def _layouts(self) -> Iterator[Layout]:
        return (draw_layout(self._scene(), self._rng(index)) for index in range(self.size))

    def _scene(self) -> Scene:
        # Below 3.5 pixels a triangle has fewer than 12 pixels.
        smallest = max(self.min_radius * self.image_size, 3.5)
        return Scene(
            side=self.image_size,
            min_objects=self.min_objects,
            max_objects=self.max_objects,
            min_radius=smallest,
            max_radius=max(self.max_radius * self.image_size, smallest),
            occlusion=self.occlusion,
            contrast=self.contrast,
            texture=self.texture,
            noise=self.noise,
        )

    def _rng(self, index: int) -> np.random.Generator:
        self._check(index)
        return np.random.default_rng(np.random.SeedSequence([self.seed, self.start + index]))

    def _check(self, index: int) -> None:
        if not 0 <= index < self.size:
            raise DataError(f"shapes: there is no picture {index}. Expected 0 … {self.size - 1}.")


def _masks(layout: Layout) -> Tensor:
    numbers = np.arange(1, len(layout.labels) + 1, dtype=np.uint8)
    visible = layout.owner[None] == numbers[:, None, None]  # [n, s, s]
    return torch.from_numpy(visible.view(np.uint8))
