"""Masks, boxes and words on a picture. Pixels are uint8 [h, w, 3], RGB."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = ["COLOURS", "edge", "fitted", "latin", "overlay"]

COLOURS: Final = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
)
"""Okabe and Ito's, bright ones first; an object takes them in turn."""

_FILL: Final = 0.4  # how much of the colour lies over a mask's inside


def edge(mask: NDArray[np.uint8] | NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask [h, w] that have a neighbour outside of it."""
    wide = np.pad(mask.astype(bool), 1)
    inside = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    border: NDArray[np.bool_] = wide[1:-1, 1:-1] & ~inside
    return border


def overlay(
    pixels: NDArray[np.uint8],
    masks: Iterable[NDArray[np.uint8]],
    boxes: NDArray[np.floating],
    words: Iterable[str],
) -> Image.Image:
    """Draw objects over a copy of the picture, each in the next colour: a tinted mask with its edge, box and words.

    Args:
        pixels: The picture.
        masks: [h, w] each, 0 or 1.
        boxes: [k, 4], x1 y1 x2 y2, pixels.
        words: One line per object, above its box.
    """
    shown = pixels.astype(np.float32)
    for number, mask in enumerate(masks):
        colour = np.array(COLOURS[number % len(COLOURS)], np.float32)
        inside = mask > 0
        shown[inside] = (1 - _FILL) * shown[inside] + _FILL * colour
        shown[edge(mask)] = colour
    picture = Image.fromarray(shown.round().astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for number, (box, text) in enumerate(zip(boxes.tolist(), words, strict=True)):
        outline = COLOURS[number % len(COLOURS)]
        x1, y1, x2, y2 = box
        pen.rectangle([x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)], outline=outline)
        pen.text((x1 + 2, max(0.0, y1 - 11)), latin(text), fill=outline)
    return picture


def fitted(picture: Image.Image, side: int) -> Image.Image:
    """Scale a picture so that its longer side is `side` pixels."""
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BILINEAR)


def latin(text: str) -> str:
    """Replace what Pillow's own font has no letters for."""
    return text.encode("latin-1", "replace").decode("latin-1")
