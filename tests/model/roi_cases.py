"""Feature maps and boxes to pool from: inside, at the rim, outside, below a pixel, beyond the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

CHANNELS = 3
NAMES = ["0", "1", "2", "3"]


@dataclass(frozen=True)
class Case:
    """Maps of strides 4 … 32 over padded pictures, and the boxes of each picture."""

    height: int  # cells of the largest map; a multiple of 8, as padding to 32 pixels makes it
    width: int
    boxes: tuple[tuple[tuple[float, float, float, float], ...], ...]
    output_size: int = 7

    def maps(self) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self.height * 100 + self.width)
        shapes = [(len(self.boxes), CHANNELS, self.height >> level, self.width >> level) for level in range(4)]
        return {
            name: torch.randn(shape, generator=generator).requires_grad_()
            for name, shape in zip(NAMES, shapes, strict=True)
        }

    def box_tensors(self) -> list[Tensor]:
        return [torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) for boxes in self.boxes]

    @property
    def image_shapes(self) -> list[tuple[int, int]]:
        return [(self.height * 4, self.width * 4)] * len(self.boxes)


def box_strategy(height: int, width: int) -> st.SearchStrategy[tuple[float, float, float, float]]:
    """Boxes inside, partly outside and wholly outside, below a pixel and beyond the picture, in pixels."""

    def corner(side: int) -> st.SearchStrategy[float]:
        return st.floats(-1.5 * side, 1.5 * side, width=32)

    def extent(side: int) -> st.SearchStrategy[float]:
        return st.one_of(st.floats(0.03125, 1, width=32), st.floats(1, 2.0 * side, width=32))

    box = st.tuples(corner(width), corner(height), extent(width), extent(height))
    whole = st.just((0.0, 0.0, float(width), float(height)))
    return st.one_of(whole, box.map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    height, width = (draw(st.sampled_from([16, 24, 32, 40, 48, 56])) for _ in range(2))
    boxes = st.lists(box_strategy(height * 4, width * 4), max_size=5).map(tuple)
    pictures = draw(st.lists(boxes, min_size=1, max_size=3).map(tuple))
    return Case(height, width, pictures, draw(st.sampled_from([7, 14])))


def pooled_with_gradients(
    pool: Callable[..., Tensor], case: Case, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, list[Tensor]]:
    """Output, and the gradient of each map for output gradients that differ from cell to cell."""
    maps = case.maps()
    rounded = {name: feature.to(dtype) for name, feature in maps.items()}
    pooled = pool(rounded, case.box_tensors(), case.image_shapes)
    generator = torch.Generator().manual_seed(1)
    outer = torch.randn(pooled.shape, generator=generator)
    found = torch.autograd.grad((pooled * outer).sum(), list(maps.values()), allow_unused=True)
    return pooled, [
        torch.zeros_like(feature) if grad is None else grad for feature, grad in zip(maps.values(), found, strict=True)
    ]
