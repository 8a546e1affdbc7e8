"""What the COCO reader says of a file as a whole."""

from __future__ import annotations

from collections import Counter

import numpy as np

from maskrcnn_exp.data.coco_columns import Annotations
from maskrcnn_exp.data.coco_json import CocoFile
from maskrcnn_exp.data.target import Category
from maskrcnn_exp.errors import DataError

__all__ = ["notes_on", "nothing_usable"]


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
    if len(annotations) == 0:
        notes.append("There are no annotations: every picture is a negative.")
    return tuple(notes)


def nothing_usable(file: CocoFile, left_out: dict[str, list[str]]) -> DataError:
    """The error for a file with annotations, none of which can be used."""
    count = len(file.annotations)
    if len(left_out.get("no segmentation", ())) == count:
        return DataError(
            f"{file.path}: all {count} annotations are without `segmentation`: boxes only? Mask R-CNN learns masks, so "
            "polygons or RLEs are expected. Export the annotations with their masks."
        )
    reasons = "\n".join(f"  {reason}: {len(ids)}, id {ids[0]} first" for reason, ids in left_out.items())
    return DataError(
        f"{file.path}: not one of {count} annotations is usable:\n{reasons}\n"
        "Expected polygons or RLEs for the pictures and categories of the same file. Repair the file."
    )
