"""What the COCO reader says of a file as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from maskrcnn_exp.data.coco_columns import Annotations
from maskrcnn_exp.data.coco_json import CocoFile
from maskrcnn_exp.data.target import Category
from maskrcnn_exp.errors import DataError

__all__ = ["STUFF", "notes_on", "nothing_usable", "of_stuff"]

STUFF: Final = (
    "The classes are those of COCO stuff (grass, sky …): one region per class and picture, not objects. "
    "Objects are in instances_*.json."
)


def notes_on(annotations: Annotations, categories: tuple[Category, ...]) -> tuple[str, ...]:
    """What is odd and usable, one sentence each."""
    names = Counter(category.name for category in categories)
    notes = [
        f"{count} categories are named {name!r}; they are kept as separate classes."
        for name, count in names.items()
        if count > 1
    ]
    ids, counts = np.unique(annotations.ids, return_counts=True)
    twice = [str(value) for value in ids[counts > 1].tolist()]
    if twice:
        notes.append(f"{len(twice)} annotation ids occur more than once ({', '.join(twice[:5])}); all are kept.")
    if annotations.lost_parts:
        notes.append(f"{annotations.lost_parts} polygon parts without 3 whole points were dropped from instances.")
    if of_stuff([category.id for category in categories]):
        notes.append(STUFF)
    for name, odd in (("area", annotations.odd_areas), ("bbox", annotations.odd_boxes)):
        if odd:
            first = ", ".join(map(str, odd[:5]))
            notes.append(
                f"{len(odd)} annotations have a `{name}` that no mask has (ids {first}): it is measured instead."
            )
    if len(annotations) == 0:
        notes.append("There are no annotations: every picture is a negative.")
    return tuple(notes)


def of_stuff(ids: Sequence[object]) -> bool:
    """Tell whether category ids are those of COCO stuff: 92 to 183, most of them."""
    numbers = [value for value in ids if isinstance(value, int)]
    return len(numbers) > 45 and len(numbers) == len(ids) and all(92 <= value <= 183 for value in numbers)


def nothing_usable(file: CocoFile, left_out: dict[str, list[str]]) -> DataError:
    """The error for a file with annotations, none of which can be used."""
    count = len(file.annotations)
    if len(left_out.get("no segmentation", ())) == count:
        return DataError(
            f"{file.path}: all {count} annotations are without `segmentation`: boxes only, keypoints or COCO panoptic? "
            "Mask R-CNN learns masks, so polygons or RLEs are expected. Export the annotations with their masks."
        )
    reasons = "\n".join(f"  {reason}: {len(ids)}, id {ids[0]} first" for reason, ids in left_out.items())
    return DataError(
        f"{file.path}: not one of {count} annotations is usable:\n{reasons}\n"
        "Expected polygons or RLEs for the pictures and categories of the same file. Repair the file."
    )
