"""Ground truth and detections like those of a trained network, made from a seed: picture i is a function of i.

Objects are ellipses. A detection is an object with a shifted box and a blurred 28 × 28 mask of its shape, or a false
one somewhere else, with a score that tells them apart most of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as rle_codec
from torch import Tensor

from benchmarks.bench.scenes import ellipse
from maskrcnn_exp.data.target import GroundTruth

__all__ = ["SIDE", "Found", "detections", "ground_truth"]

SIDE: Final = 640  # pixels
_RESOLUTION: Final = 28  # pixels of the mask head's output
_MOST_OBJECTS: Final = 40
_MOST_DETECTIONS: Final = 100
_CATEGORIES: Final = 80
_RADII: Final = (6.0, 150.0)  # pixels, log-uniform: small, medium and large objects in COCO's sense


@dataclass(frozen=True)
class Found:
    """What a network returns for one picture before its masks are pasted; k detections."""

    boxes: Tensor  # float32 [k, 4]
    labels: Tensor  # int64 [k]
    scores: Tensor  # float32 [k], falling
    masks: Tensor  # float32 [k, 1, 28, 28], probabilities


@dataclass(frozen=True)
class _Object:
    centre: tuple[float, float]  # y, x
    radii: tuple[float, float]
    label: int

    @property
    def box_xyxy(self) -> list[float]:
        (y, x), (height, width) = self.centre, self.radii
        box = [x - width, y - height, x + width, y + height]
        return [min(max(side, 0.0), float(SIDE)) for side in box]


def _objects(picture: int) -> list[_Object]:
    rng = np.random.default_rng([1, picture])
    labels = rng.choice(_CATEGORIES, 5, replace=False) + 1  # a picture shows a few kinds of things
    return [_random_object(rng, int(rng.choice(labels))) for _ in range(rng.integers(1, _MOST_OBJECTS + 1))]


def _random_object(rng: np.random.Generator, label: int) -> _Object:
    radius = np.exp(rng.uniform(*np.log(_RADII)))
    centre = rng.uniform(8, SIDE - 8, 2)
    stretch = rng.uniform(0.7, 1.4)
    return _Object((float(centre[0]), float(centre[1])), (radius * stretch, radius / stretch), label)


def ground_truth(pictures: int) -> GroundTruth:
    """Return the objects of the first pictures, as a dataset gives them."""
    annotations: list[dict[str, Any]] = []
    for picture in range(pictures):
        for thing in _objects(picture):
            rle = rle_codec.encode(np.asfortranarray(ellipse(SIDE, SIDE, thing.centre, thing.radii)))
            x1, y1, x2, y2 = thing.box_xyxy
            annotation = {"id": len(annotations) + 1, "image_id": picture, "category_id": thing.label, "iscrowd": 0}
            shape = {"segmentation": rle, "area": float(rle_codec.area(rle)), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            annotations.append({**annotation, **shape})
    return {
        "images": [{"id": index, "height": SIDE, "width": SIDE} for index in range(pictures)],
        "annotations": annotations,
        "categories": [{"id": label, "name": f"class {label}"} for label in range(1, _CATEGORIES + 1)],
    }


def detections(pictures: range) -> Iterator[tuple[int, Found]]:
    """Yield the pictures' detections one by one."""
    for picture in pictures:
        yield picture, _detect(picture)


def _detect(picture: int) -> Found:
    rng, objects = np.random.default_rng([2, picture]), _objects(picture)
    hits = [thing for thing in objects if rng.random() < 0.9]
    others = [thing for thing in objects if rng.random() < 0.4]  # found twice
    count = int(rng.integers(len(hits), _MOST_DETECTIONS + 1))
    labels = [thing.label for thing in objects]
    false = [_random_object(rng, int(rng.choice(labels))) for _ in range(count)]
    kept = [*hits, *others, *false][:count]
    scores = np.where(np.arange(count) < len(hits), rng.beta(5, 2, count), rng.beta(1.2, 6, count)) * 0.95 + 0.05
    order = np.argsort(-scores, kind="stable")
    boxes = np.array([_shifted(thing.box_xyxy, rng) for thing in kept], dtype=np.float32).reshape(-1, 4)
    masks = np.array([_small_mask(rng) for _ in kept], dtype=np.float32).reshape(-1, 1, _RESOLUTION, _RESOLUTION)
    return Found(
        boxes=torch.from_numpy(boxes[order]),
        labels=torch.tensor([kept[place].label for place in order], dtype=torch.int64),
        scores=torch.from_numpy(scores[order].astype(np.float32)),
        masks=torch.from_numpy(masks[order]),
    )


def _shifted(box_xyxy: list[float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Move each side by some 4 % of the box, and cut the box to the picture as torchvision does."""
    x1, y1, x2, y2 = box_xyxy
    size = np.array([x2 - x1, y2 - y1] * 2)
    moved: NDArray[np.float64] = np.clip(np.array(box_xyxy) + rng.normal(0, 0.04, 4) * size, 0, SIDE)
    return moved


def _small_mask(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return an ellipse that fills its box, soft at its edge, with noise: a sigmoid of the distance to the edge."""
    axis = (np.arange(_RESOLUTION) + 0.5) / _RESOLUTION * 2 - 1
    radius = np.hypot(axis[:, None], axis[None, :])
    logits = (rng.uniform(0.9, 1.05) - radius) * 12 + rng.normal(0, 1.0, radius.shape)
    probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return probabilities
