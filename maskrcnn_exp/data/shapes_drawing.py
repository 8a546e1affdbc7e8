"""Where the shapes stand and what they look like.

Shape letters: s × s pixels of the picture, h × w pixels of an object's window in it.
Places are drawn before colours, so that masks can be had without painting.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["MIN_VISIBLE_PIXELS", "Layout", "Scene", "draw_layout", "paint"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

MIN_VISIBLE_PIXELS: Final = 12
_TRIES: Final = 20  # places tried per object before the picture goes without it
_CIRCLE, _SQUARE, _TRIANGLE = 1, 2, 3
_CORNERS: Final = {_SQUARE: 4, _TRIANGLE: 3}


@dataclass(frozen=True)
class Scene:
    """What a picture is drawn from; lengths in pixels, `ShapesDataset` has the meanings."""

    side: int
    min_objects: int
    max_objects: int
    min_radius: float
    max_radius: float
    occlusion: float
    contrast: float
    texture: float
    noise: float


@dataclass(frozen=True)
class Layout:
    """The objects of one picture, in the order of drawing."""

    owner: npt.NDArray[np.uint8]  # [s, s], 0 = background, k = object k is what is seen here
    labels: list[int]


@dataclass(frozen=True)
class _Shape:
    label: int
    window: tuple[slice, slice]
    inside: Bools  # [h, w]


def draw_layout(scene: Scene, rng: np.random.Generator) -> Layout:
    """Place objects one over the other; one that would cover too much of an earlier one moves elsewhere."""
    owner = np.zeros((scene.side, scene.side), dtype=np.uint8)
    pixels = np.zeros(1, dtype=np.int64)  # of each object when it was drawn; [0] is the background
    labels: list[int] = []
    # Object numbers are uint8.
    for _ in range(min(int(rng.integers(scene.min_objects, scene.max_objects + 1)), 255)):
        for _ in range(_TRIES):
            shape = _random_shape(scene, rng)
            if _fits(shape, owner, pixels, scene.occlusion):
                labels.append(shape.label)
                owner[shape.window][shape.inside] = len(labels)
                pixels = np.append(pixels, np.count_nonzero(shape.inside))
                break
    return Layout(owner, labels)


def _random_shape(scene: Scene, rng: np.random.Generator) -> _Shape:
    label = int(rng.integers(_CIRCLE, _TRIANGLE + 1))
    radius = float(rng.uniform(scene.min_radius, scene.max_radius))
    x, y = rng.uniform(radius, scene.side - radius, size=2).tolist()
    angle = float(rng.uniform(0, 2 * np.pi))
    left, top = max(int(x - radius), 0), max(int(y - radius), 0)
    right, bottom = min(int(x + radius) + 1, scene.side), min(int(y + radius) + 1, scene.side)
    columns = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x)  # [w], pixel centres
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - y)  # [h, 1]
    if label == _CIRCLE:
        inside = columns**2 + rows**2 <= radius**2
    else:
        inside = _regular_polygon(columns, rows, radius, angle, _CORNERS[label])
    return _Shape(label, (slice(top, bottom), slice(left, right)), inside)


def _regular_polygon(columns: Floats, rows: Floats, radius: float, angle: float, corners: int) -> Bools:
    """The polygon is where no side's normal reaches farther than the inner radius: bool [h, w]."""
    inner = radius * np.cos(np.pi / corners)
    inside = np.ones((rows.shape[0], columns.shape[0]), dtype=bool)
    for side in range(corners):
        normal = angle + 2 * np.pi * side / corners
        inside &= columns * np.float32(np.cos(normal)) + rows * np.float32(np.sin(normal)) <= inner
    return inside


def _fits(shape: _Shape, owner: npt.NDArray[np.uint8], pixels: npt.NDArray[np.int64], occlusion: float) -> bool:
    if np.count_nonzero(shape.inside) < MIN_VISIBLE_PIXELS:
        return False
    covered = np.unique(owner[shape.window][shape.inside])
    for number in covered[covered > 0].tolist():
        seen = np.count_nonzero(owner == number)
        left = seen - np.count_nonzero(owner[shape.window][shape.inside] == number)
        if left < max((1 - occlusion) * pixels[number], MIN_VISIBLE_PIXELS):
            return False
    return True


def paint(layout: Layout, scene: Scene, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Colour a layout: uint8 [3, s, s], RGB."""
    base = rng.uniform(0.15, 0.85, size=(3, 1, 1)).astype(np.float32)
    canvas = base + np.float32(scene.texture / 2) * _pattern(scene.side, rng)  # [3, s, s]
    background = canvas.copy()
    for number in range(1, len(layout.labels) + 1):
        rows, columns = np.nonzero(layout.owner == number)  # [p] each
        under = background[:, rows, columns].mean(axis=1).clip(0, 1)  # [3]
        colour = _contrasting(under, scene.contrast, rng)[:, None]  # [3, 1]
        pattern = _pattern(scene.side, rng)[:, rows, columns]  # [1, p]
        # A third, so that the pattern leaves the object on its side of the contrast.
        canvas[:, rows, columns] = colour + np.float32(scene.texture / 3) * pattern
    if scene.noise > 0:
        canvas += np.float32(scene.noise) * rng.standard_normal(canvas.shape, dtype=np.float32)
    np.clip(canvas, 0, 1, out=canvas)
    canvas *= 255
    canvas += 0.5
    return canvas.astype(np.uint8)


def _contrasting(under: Floats, contrast: float, rng: np.random.Generator) -> Floats:
    """Move each channel by `contrast` or up to half more, to a side that has room for it: float32 [3].

    Without the half more, objects on one background would share one colour and could not be told apart.
    """
    up = under + contrast <= 1
    down = under - contrast >= 0
    sign = np.where(up & down, rng.integers(0, 2, size=3) * 2 - 1, np.where(under < 0.5, 1, -1))
    room = np.where(sign > 0, 1 - under, under)
    more = rng.random(3) * (room - contrast).clip(0, contrast / 2)
    colour: Floats = (under + sign * (contrast + more)).clip(0, 1).astype(np.float32)
    return colour


def _pattern(side: int, rng: np.random.Generator) -> Floats:
    """Stripes, a gradient or smooth noise, about -1 … 1: float32 [1, s, s], grey."""
    kind = int(rng.integers(3))
    if kind == 0:
        grid = rng.uniform(-1, 1, size=(_GRID, _GRID)).astype(np.float32)
        smooth = _smoothing(side)  # [s, g]
        noise = smooth @ grid @ smooth.T  # [s, s]
        return noise[None].astype(np.float32, copy=False)
    angle, phase = rng.uniform(0, 2 * np.pi, size=2).tolist()
    periods = rng.uniform(4, 14) if kind == 1 else rng.uniform(0.2, 0.5)  # few periods: a gradient
    place: Floats = np.arange(side, dtype=np.float32) * np.float32(2 * np.pi * periods / side)
    # sin(a + b) from four short vectors instead of one sine per pixel.
    across: Floats = place * np.float32(np.cos(angle)) + np.float32(phase)
    down: Floats = (place * np.float32(np.sin(angle)))[:, None]
    waves: Floats = (np.cos(down) * np.sin(across) + np.sin(down) * np.cos(across))[None]
    return waves


_GRID: Final = 7  # cells of the smooth noise along one side


@lru_cache(maxsize=8)
def _smoothing(side: int) -> Floats:
    """Cosine interpolation from `_GRID` values to `side` pixels: float32 [s, g], rows sum to 1."""
    place = (np.arange(side) + 0.5) / side * (_GRID - 1)
    first = np.minimum(place.astype(int), _GRID - 2)
    share = (1 - np.cos(np.pi * (place - first))) / 2
    weights = np.zeros((side, _GRID), dtype=np.float32)
    weights[np.arange(side), first] = 1 - share
    weights[np.arange(side), first + 1] = share
    return weights
