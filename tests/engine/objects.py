"""Pictures of discs and squares with perfect detections, for the tests of what is made worse from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from maskrcnn_exp.data.ground_truth import encode_masks, ground_truth_of_masks
from maskrcnn_exp.data.masks import boxes_from_masks
from maskrcnn_exp.data.rle import draw_runs, runs_of_counts
from maskrcnn_exp.data.target import Category, GroundTruth, Sample
from maskrcnn_exp.engine.coco_ap import Detections
from maskrcnn_exp.engine.corrections import see_through_grid
from maskrcnn_exp.model.forward import ObjectMasks

SIZE = 96
CATEGORIES = (Category(1, "disc"), Category(2, "square"))
CENTRES = ((20, 22), (68, 20), (24, 70), (70, 72))


def disc(centre: tuple[int, int], radius: float) -> torch.Tensor:
    """uint8 [SIZE, SIZE]."""
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2).to(torch.uint8)


def square(centre: tuple[int, int], half: int) -> torch.Tensor:
    mask = torch.zeros(SIZE, SIZE, dtype=torch.uint8)
    mask[centre[0] - half : centre[0] + half, centre[1] - half : centre[1] + half] = 1
    return mask


def picture(index: int, labels: Sequence[int] = (1, 2, 1, 2)) -> Sample:
    """A disc for each label 1 and a square for each label 2, at most four."""
    shapes = [disc(CENTRES[i], 15.3) if label == 1 else square(CENTRES[i], 14) for i, label in enumerate(labels)]
    return picture_of(index, torch.stack(shapes) if shapes else torch.zeros(0, SIZE, SIZE, dtype=torch.uint8), labels)


def picture_of(index: int, masks: torch.Tensor, labels: Sequence[int]) -> Sample:
    target = {"boxes": boxes_from_masks(masks), "labels": torch.tensor(labels, dtype=torch.int64), "masks": masks}
    return Sample(torch.zeros(3, SIZE, SIZE, dtype=torch.uint8), target, index)  # type: ignore[arg-type]


def ground_truth_of(samples: Sequence[Sample]) -> GroundTruth:
    rows = [(f"{sample.index}.png", sample.target["masks"], sample.target["labels"]) for sample in samples]
    return ground_truth_of_masks(CATEGORIES, rows)


def perfect_detections(sample: Sample) -> Detections:
    count = len(sample.target["labels"])
    return Detections(
        image_index=sample.index,
        boxes_xyxy=sample.target["boxes"].numpy().copy(),
        labels=sample.target["labels"].numpy().copy(),
        scores=np.linspace(0.9, 0.8, count, dtype=np.float32),
        rles=list(encode_masks(sample.target["masks"])),
    )


def perfect_head(sample: Sample, resolution: int = 28) -> ObjectMasks:
    """What a mask head that learned its targets exactly gives in the true boxes, with the picture at its own size."""
    seen = ObjectMasks(sample.target["masks"], sample.target["boxes"], torch.zeros(0, 1, resolution, resolution))
    return ObjectMasks(seen.seen, seen.boxes, see_through_grid(seen, resolution))


def drawn(rle: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Draw a mask, uint8 [SIZE, SIZE]; pycocotools' own decode warns under numpy 2."""
    mask = np.zeros(rle["size"], dtype=np.uint8)
    draw_runs(runs_of_counts(rle["counts"]), mask)
    return mask
