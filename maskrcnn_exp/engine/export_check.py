"""Whether an exported network finds what the checkpoint finds: detection by detection, on real pictures.

Shape letters: k detections of one picture, h × w its pixels or the small masks' cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection import MaskRCNN

__all__ = ["Agreement", "Found", "found_by"]

BOX_PIXELS: Final = 0.1
SCORE: Final = 0.001
MASK_IOU: Final = 0.99
LEAST_AGREEING: Final = 0.99
"""Share of detections that must agree: where two scores tie or a box lies on a threshold, rounding may choose."""

_PAIR_IOU = 0.5


@dataclass(frozen=True)
class Found:
    """What one network finds in one picture."""

    boxes: NDArray[np.float32]  # [k, 4], x1 y1 x2 y2, pixels
    labels: NDArray[np.int64]  # [k]
    scores: NDArray[np.float32]  # [k]
    masks: NDArray[np.bool_]  # [k, h, w], probability above one half

    @classmethod
    def of(cls, boxes: Any, labels: Any, scores: Any, masks: Any) -> Found:
        """Take what torchvision or onnxruntime returns; `masks` are probabilities [k, 1, h, w]."""
        return cls(np.asarray(boxes), np.asarray(labels), np.asarray(scores), np.asarray(masks)[:, 0] > 0.5)


@dataclass
class Agreement:
    """Differences between two networks, over pictures."""

    pictures: int = 0
    detections: int = 0  # of the network that finds more
    paired: int = 0  # same class, box IoU at least one half
    agreeing: int = 0  # pairs within all three tolerances
    box_pixels: float = 0.0  # largest difference of a corner among pairs
    score: float = 0.0  # largest among pairs
    mask_iou: float = 1.0  # smallest among pairs

    @property
    def holds(self) -> bool:
        """True where the networks agree. Nothing found on both sides is agreement too."""
        return self.agreeing >= LEAST_AGREEING * self.detections

    def add(self, ours: Found, theirs: Found) -> None:
        """Count one picture."""
        self.pictures += 1
        self.detections += max(len(ours.labels), len(theirs.labels))
        for mine, other in _pairs(ours, theirs):
            pixels = float(np.abs(ours.boxes[mine] - theirs.boxes[other]).max())
            score = float(abs(ours.scores[mine] - theirs.scores[other]))
            iou = _mask_iou(ours.masks[mine], theirs.masks[other])
            self.paired += 1
            self.agreeing += pixels <= BOX_PIXELS and score <= SCORE and iou >= MASK_IOU
            self.box_pixels = max(self.box_pixels, pixels)
            self.score = max(self.score, score)
            self.mask_iou = min(self.mask_iou, iou)

    def line(self) -> str:
        """Return the comparison in a sentence."""
        if self.detections == 0:
            return (
                f"{self.pictures} pictures: both find nothing, which shows nothing; images=… or a lower "
                "model.score_threshold compares detections"
            )
        return (
            f"{self.pictures} pictures, {self.agreeing} of {self.detections} detections agree ({self.paired} paired); "
            f"largest differences: box {self.box_pixels:.2g} px, score {self.score:.2g}, "
            f"least mask IoU {self.mask_iou:.4f}"
        )

    @staticmethod
    def tolerances() -> str:
        return f"box {BOX_PIXELS} px, score {SCORE}, mask IoU {MASK_IOU}, for {LEAST_AGREEING:.0%} of the detections"


def found_by(network: MaskRCNN) -> Callable[[Tensor], Found]:
    """Return a function from a picture, uint8 [3, h, w] RGB, to what `network` finds, in float32 on its CPU."""

    @torch.inference_mode()
    def find(picture: Tensor) -> Found:
        (found,) = network([picture.float().div(255)])
        return Found.of(found["boxes"], found["labels"], found["scores"], found["masks"])

    network.eval()
    return find


def _pairs(ours: Found, theirs: Found) -> list[tuple[int, int]]:
    """Pair detections of one class by overlap, ours in their order, each with the best that is left."""
    if not len(ours.labels) or not len(theirs.labels):
        return []
    overlap = _box_iou(ours.boxes, theirs.boxes)
    overlap[ours.labels[:, None] != theirs.labels[None]] = 0
    pairs = []
    for mine in range(len(overlap)):
        other = int(overlap[mine].argmax())
        if overlap[mine, other] >= _PAIR_IOU:
            pairs.append((mine, other))
            overlap[:, other] = 0
    return pairs


def _box_iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=-1)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (a, b))
    iou: NDArray[np.float32] = shared / np.maximum(area_a[:, None] + area_b[None] - shared, np.float32(1e-9))
    return iou


def _mask_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    if a.shape != b.shape:
        return 0.0
    either = int((a | b).sum())
    return 1.0 if either == 0 else int((a & b).sum()) / either
