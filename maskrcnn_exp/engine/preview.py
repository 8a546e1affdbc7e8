"""The same few validation pictures after each evaluation: what is annotated beside what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskrcnn_exp.data.drawing import fitted, overlay
from maskrcnn_exp.data.rle import mask_of_counts
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.engine.coco_ap import Detections

__all__ = ["Preview", "choose_previews", "draw_preview"]

_SIDE: Final = 320  # pixels of each half's longer side
_SHOWN_SCORE: Final = 0.5


@dataclass(frozen=True, eq=False)
class Preview:
    """A validation picture that was kept, with what was found in it."""

    sample: Sample
    detections: Detections


def choose_previews(count: int, total: int, world: int) -> frozenset[int]:
    """Return positions in the validation set, spread evenly: such that the first of `world` processes has them all."""
    own = range(0, total, world)
    count = min(count, len(own))
    return frozenset(own[number * len(own) // count] for number in range(count))


def draw_preview(preview: Preview, names: Sequence[str]) -> NDArray[np.uint8]:
    """Return uint8 [h, w, 3]: the annotated picture on the left, the one with detections on the right.

    Args:
        names: Of the classes; the first is that of label 1.
    """
    sample, found = preview.sample, preview.detections
    pixels: NDArray[np.uint8] = sample.image.permute(1, 2, 0).numpy()
    target = sample.target
    words = [names[label - 1] for label in target["labels"].tolist()]
    annotated = overlay(pixels, target["masks"].numpy(), target["boxes"].numpy(), words)
    sure = found.take(np.flatnonzero(found.scores >= _SHOWN_SCORE))
    words = [f"{names[label - 1]} {score:.2f}" for label, score in zip(sure.labels, sure.scores, strict=True)]
    height, width = pixels.shape[:2]
    masks = [mask_of_counts(rle["counts"], height, width) for rle in sure.rles]
    return _side_by_side(annotated, overlay(pixels, masks, sure.boxes_xyxy, words))


def _side_by_side(left: Image.Image, right: Image.Image) -> NDArray[np.uint8]:
    halves = [fitted(half, _SIDE) for half in (left, right)]
    width, height = halves[0].size
    both = Image.new("RGB", (2 * width + 4, height), "white")
    both.paste(halves[0], (0, 0))
    both.paste(halves[1], (width + 4, 0))
    return np.asarray(both)
