"""What training samples go through: flips, zoom with crop and padding, colour changes.

All randomness of a sample follows from `sample.seed`; the global generators are neither read nor moved. Masks
are transformed with nearest neighbours, boxes are recomputed from them, instances that leave the picture go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from maskrcnn_exp.data.masks import boxes_from_masks
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.errors import ConfigError

__all__ = ["PADDING_COLOUR", "Augment"]

PADDING_COLOUR: Final = (124, 116, 104)
"""ImageNet's mean colour: zero after the usual normalisation, as is what batches are padded with."""

# Another stream than that of anything else seeded with the sample's seed.
_STREAM: Final = 0x5DEECE66D


@dataclass(frozen=True)
class Augment:
    """A pure function from sample to sample; without any step switched on it returns the sample itself.

    The zoom r is log-uniform in `scale_min` … `scale_max`. With `crop_size` = 0 the picture keeps its size: r > 1
    crops a random window, r < 1 pads to a random place. With `crop_size` > 0 (large-scale jitter) the longer
    side becomes crop_size · r, and the result is cropped and padded to crop_size × crop_size. Padding has
    `PADDING_COLOUR`. An instance with less than `min_visible` of its pixels in the window is dropped.
    """

    horizontal_flip: float = 0.0  # probability
    vertical_flip: float = 0.0  # probability
    scale_min: float = 1.0
    scale_max: float = 1.0
    crop_size: int = 0  # pixels; 0 keeps each picture's own size
    photometric: float = 0.0  # probability of brightness, contrast, saturation and hue changes
    min_visible: float = 0.1  # 0 … 1

    def __post_init__(self) -> None:
        if not 0 < self.scale_min <= self.scale_max or self.crop_size < 0:
            raise ConfigError(
                f"augment: scale_min={self.scale_min}, scale_max={self.scale_max}, crop_size={self.crop_size}. "
                "Expected 0 < scale_min ≤ scale_max and crop_size ≥ 0."
            )

    def __call__(self, sample: Sample) -> Sample:
        """Transform a sample; image, masks and boxes of the result share nothing with the input's where changed."""
        draws = _Draws.of(sample.seed)
        image, masks = sample.image, sample.target["masks"]  # [3, h, w], [n, h, w]
        kept = torch.arange(len(masks))
        if self._zooms:
            window = self._window(image.shape[-2:], draws)
            image = window.apply_to_image(image)
            masks, kept = window.apply_to_masks(masks, self.min_visible)
        for dim, flipped in ((-1, draws.flip_x < self.horizontal_flip), (-2, draws.flip_y < self.vertical_flip)):
            if flipped:
                image, masks = image.flip(dim), masks.flip(dim)
        if draws.recolour < self.photometric:
            image = _recolour(image, draws.colours)
        if image is sample.image:
            return sample
        labels = sample.target["labels"][kept]
        return replace(sample, image=image, target={"boxes": boxes_from_masks(masks), "labels": labels, "masks": masks})

    @property
    def _zooms(self) -> bool:
        return self.crop_size > 0 or (self.scale_min, self.scale_max) != (1.0, 1.0)

    def _window(self, size: torch.Size, draws: _Draws) -> _Window:
        height, width = size
        zoom = self.scale_min * (self.scale_max / self.scale_min) ** draws.zoom
        if self.crop_size == 0:
            return _Window(_axis(height, height, zoom, draws.rows), _axis(width, width, zoom, draws.columns))
        zoom *= self.crop_size / max(height, width)
        return _Window(
            _axis(height, self.crop_size, zoom, draws.rows), _axis(width, self.crop_size, zoom, draws.columns)
        )


@dataclass(frozen=True)
class _Draws:
    """Uniform numbers in 0 … 1. All are drawn, used or not, so that no step moves the draws of another."""

    flip_x: float
    flip_y: float
    zoom: float
    rows: float
    columns: float
    recolour: float
    colours: list[float]

    @classmethod
    def of(cls, seed: int) -> _Draws:
        generator = torch.Generator().manual_seed(seed ^ _STREAM)
        numbers: list[float] = torch.rand(10, generator=generator, dtype=torch.float64).tolist()
        flip_x, flip_y, zoom, rows, columns, recolour, *colours = numbers
        return cls(flip_x, flip_y, zoom, rows, columns, recolour, colours)


@dataclass(frozen=True)
class _Axis:
    """One side of the zoom: `source` pixels from `start` become `length` pixels at `offset` of `out`."""

    start: int
    source: int
    offset: int
    length: int
    out: int

    def nearest(self, device: torch.device) -> Tensor:
        """The source pixel of each of the `length` pixels, relative to `start`: int64 [length]."""
        places = (torch.arange(self.length, device=device, dtype=torch.float64) + 0.5) * self.source / self.length
        return places.long().clamp(max=self.source - 1)


def _axis(size: int, out: int, zoom: float, place: float) -> _Axis:
    """Crop where the zoomed side is longer than `out`, pad where it is shorter; `place` in 0 … 1 says where."""
    zoomed = max(1, round(size * zoom))
    if zoomed >= out:
        source = min(size, max(1, round(out / zoom)))
        return _Axis(math.floor(place * (size - source + 1)), source, 0, out, out)
    return _Axis(0, size, math.floor(place * (out - zoomed + 1)), zoomed, out)


@dataclass(frozen=True)
class _Window:
    rows: _Axis
    columns: _Axis

    def apply_to_image(self, image: Tensor) -> Tensor:
        """uint8 [3, h, w] to uint8 [3, rows.out, columns.out]."""
        rows, columns = self.rows, self.columns
        resized = functional.resize(self._crop(image), [rows.length, columns.length], antialias=True)
        padded = image.new_tensor(PADDING_COLOUR)[:, None, None].repeat(1, rows.out, columns.out)
        self._place(padded).copy_(resized)
        return padded

    def apply_to_masks(self, masks: Tensor, min_visible: float) -> tuple[Tensor, Tensor]:
        """uint8 [n, h, w] to the k masks still there, uint8 [k, rows.out, columns.out], and their indices [k]."""
        cropped = self._crop(masks)
        before, after = masks.sum((1, 2)), cropped.sum((1, 2))  # [n]
        visible = (after > 0) & (after >= min_visible * before)
        kept = visible.nonzero().flatten()
        rows, columns = self.rows.nearest(masks.device), self.columns.nearest(masks.device)
        zoomed = cropped[kept][:, rows][:, :, columns]
        drawn = (zoomed.flatten(1) > 0).any(dim=1)  # shrinking can lose thin masks between the pixels
        padded = masks.new_zeros((int(drawn.sum()), self.rows.out, self.columns.out))
        self._place(padded).copy_(zoomed[drawn])
        return padded, kept[drawn]

    def _crop(self, pixels: Tensor) -> Tensor:
        rows, columns = self.rows, self.columns
        return pixels[:, rows.start : rows.start + rows.source, columns.start : columns.start + columns.source]

    def _place(self, canvas: Tensor) -> Tensor:
        rows, columns = self.rows, self.columns
        return canvas[:, rows.offset : rows.offset + rows.length, columns.offset : columns.offset + columns.length]


def _recolour(image: Tensor, draws: list[float]) -> Tensor:
    """Brightness, contrast and saturation change by up to a fifth, hue by up to 7° (0.02 of a turn)."""
    brightness, contrast, saturation, hue = (2 * draw - 1 for draw in draws)  # -1 … 1
    image = functional.adjust_brightness(image, 1 + 0.2 * brightness)
    image = functional.adjust_contrast(image, 1 + 0.2 * contrast)
    image = functional.adjust_saturation(image, 1 + 0.2 * saturation)
    recoloured: Tensor = functional.adjust_hue(image, 0.02 * hue)
    return recoloured
