"""What a reader of another format hands to the COCO reader: the lists of a COCO file.

Ids are names that a user finds again: a picture's is its path from the folder, an annotation's `<file>:<line>` or so.
Where an annotation cannot be used, its `segmentation` is the `Unusable` that says why, so that the COCO reader
leaves it out, counts it, and does not take its picture for a negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from maskrcnn_exp.data.coco_columns import AnnotationsBuilder
from maskrcnn_exp.data.coco_json import CocoFile
from maskrcnn_exp.errors import DataError

__all__ = ["Source", "batches_of", "to_coco_file"]

_BATCH: Final = 1000  # annotations parsed before they are packed


@dataclass(frozen=True)
class Source:
    """One split."""

    place: Path  # what messages call it
    folder: Path  # where file names start from
    images: list[dict[str, Any] | None]  # id, file_name, width, height; the last two None where the file tells them
    categories: list[dict[str, Any]]  # id, name
    annotations: Iterable[dict[str, Any]]  # id, image_id, category_id, segmentation; may be gone through again
    left_out: dict[str, list[str]] = field(default_factory=dict)  # reason -> files without a picture to name
    notes: tuple[str, ...] = ()  # what was decided for the user, one sentence each


def to_coco_file(source: Source) -> CocoFile:
    """Pack the annotations.

    Raises:
        DataError: there is no picture.
    """
    if not source.images:
        raise DataError(f"{source.place}: there is no picture. Is it the right folder?")
    builder = AnnotationsBuilder()
    for batch in batches_of(source.annotations):
        builder.add(batch)
    return CocoFile(
        source.place, source.images, list(source.categories), builder.finish(), source.left_out, source.notes
    )


def batches_of(annotations: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the annotations some at a time, so that millions are never held as dictionaries."""
    left = iter(annotations)
    while batch := list(islice(left, _BATCH)):
        yield batch
