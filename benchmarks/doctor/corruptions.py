"""What goes wrong with annotations: functions from a COCO instances file to a wrong one.

Each takes the file's content and a generator, and returns new content; the input stays as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.rle import draw_runs, runs_of_counts

__all__ = [
    "CORRUPTIONS",
    "Coco",
    "Corruption",
    "boxes_jittered",
    "decoded",
    "encoded",
    "half_unannotated",
    "labels_shuffled",
    "masks_empty",
    "masks_shifted",
    "masks_stamps",
    "masks_swapped",
]

Coco = dict[str, Any]
Corruption = Callable[[Coco, np.random.Generator], Coco]
Mask = NDArray[np.bool_]

_SHIFT: Final = 1 / 3  # of the median object's side, to the right and down
_STAMP: Final = 0.3  # of a mask's pixels that are left
_JITTER: Final = 0.15  # standard deviation of each side, as a share of the box's own size
_MISLABELLED: Final = 0.3  # share of the objects
_UNANNOTATED: Final = 0.5  # share of the objects
_EMPTY: Final = 0.6  # share of the objects


def encoded(mask: Mask) -> dict[str, Any]:
    """Return a mask as COCO's compressed run lengths, as they stand in JSON."""
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decoded(annotation: Coco) -> Mask:
    """Return the mask [h, w] of an annotation in run lengths."""
    mask = np.zeros(annotation["segmentation"]["size"], dtype=np.uint8)
    runs = runs_of_counts(annotation["segmentation"]["counts"].encode("ascii"))
    if len(runs) > 1:  # one run is background alone
        draw_runs(runs, mask)
    return mask.astype(bool)


def masks_shifted(coco: Coco, rng: np.random.Generator) -> Coco:
    """Every mask lies a third of an object's side too far to the right and too low, as after a wrong crop or resize."""
    sides = [max(annotation["bbox"][2:]) for annotation in coco["annotations"]]
    shift = max(2, round(_SHIFT * float(np.median(sides))))
    return _each_mask(coco, lambda mask: _moved(mask, shift))


def masks_stamps(coco: Coco, rng: np.random.Generator) -> Coco:
    """Of every mask only the innermost third is left, as after thresholding a distance map; boxes stay."""
    return _each_mask(coco, _eroded)


def masks_swapped(coco: Coco, rng: np.random.Generator) -> Coco:
    """Within a picture each object has the mask of the next one: instance ids in another order than the labels."""
    by_picture = defaultdict(list)
    for place, annotation in enumerate(coco["annotations"]):
        by_picture[annotation["image_id"]].append(place)
    annotations = list(coco["annotations"])
    for places in by_picture.values():
        for place, other in zip(places, places[1:] + places[:1], strict=True):
            annotations[place] = {**annotations[place], "segmentation": coco["annotations"][other]["segmentation"]}
    return {**coco, "annotations": annotations}


def boxes_jittered(coco: Coco, rng: np.random.Generator) -> Coco:
    """Each side of each annotated box is off by 15 % of the box's size; masks stay."""
    annotations = []
    for annotation in coco["annotations"]:
        x, y, width, height = annotation["bbox"]
        left, top, right, bottom = rng.normal(0.0, _JITTER, 4) * (width, height, width, height)
        wide, high = max(1.0, width + right - left), max(1.0, height + bottom - top)
        annotations.append({**annotation, "bbox": [x + left, y + top, wide, high]})
    return {**coco, "annotations": annotations}


def labels_shuffled(coco: Coco, rng: np.random.Generator) -> Coco:
    """Three objects of ten have another class than their own, at random."""
    ids = [category["id"] for category in coco["categories"]]
    annotations = []
    for annotation in coco["annotations"]:
        others = [other for other in ids if other != annotation["category_id"]]
        wrong = rng.random() < _MISLABELLED
        annotations.append({**annotation, "category_id": int(rng.choice(others))} if wrong else annotation)
    return {**coco, "annotations": annotations}


def half_unannotated(coco: Coco, rng: np.random.Generator) -> Coco:
    """Every second object has no annotation, at random."""
    kept = [annotation for annotation in coco["annotations"] if rng.random() >= _UNANNOTATED]
    return {**coco, "annotations": kept}


def masks_empty(coco: Coco, rng: np.random.Generator) -> Coco:
    """Six masks of ten hold no pixel. The reader leaves them out, so their objects become background."""
    annotations = []
    for annotation in coco["annotations"]:
        if rng.random() < _EMPTY:
            nothing = np.zeros(annotation["segmentation"]["size"], dtype=bool)
            annotation = {**annotation, "segmentation": encoded(nothing)}
        annotations.append(annotation)
    return {**coco, "annotations": annotations}


CORRUPTIONS: Final[dict[str, Corruption]] = {
    corruption.__name__: corruption
    for corruption in (
        masks_shifted,
        masks_stamps,
        masks_swapped,
        boxes_jittered,
        labels_shuffled,
        half_unannotated,
        masks_empty,
    )
}


def _each_mask(coco: Coco, change: Callable[[Mask], Mask]) -> Coco:
    """Change all masks; one that would lose its last pixel stays as it is."""
    annotations = []
    for annotation in coco["annotations"]:
        mask = change(decoded(annotation))
        annotations.append({**annotation, "segmentation": encoded(mask)} if mask.any() else annotation)
    return {**coco, "annotations": annotations}


def _moved(mask: Mask, by: int) -> Mask:
    moved = np.zeros_like(mask)
    moved[by:, by:] = mask[:-by, :-by]
    return moved


def _eroded(mask: Mask) -> Mask:
    """Take rims of one pixel off until at most _STAMP of the pixels is left; never the last rim."""
    wanted = _STAMP * mask.sum()
    while mask.sum() > wanted:
        padded = np.pad(mask, 1)
        inner = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        if not inner.any():
            break
        mask = inner
    return mask
