"""A COCO file as it stands, with what the reader of training overlooks or mends in silence."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.coco_columns import Annotations, AnnotationsBuilder
from maskrcnn_exp.data.coco_json import read_coco_file
from maskrcnn_exp.data.formats.source import Source, batches_of
from maskrcnn_exp.data.json_stream import JsonStream, opened_json
from maskrcnn_exp.errors import DataError

__all__ = [
    "BARE_POLYGON",
    "CROWD_ABSENT",
    "CROWD_ODD",
    "NO_OUTLINE",
    "OTHER_OUTLINE",
    "POLYGONS",
    "RLE_LIST",
    "RLE_TEXT",
    "CocoFacts",
    "read_facts",
]

Marks = npt.NDArray[np.int8]

NO_OUTLINE, POLYGONS, BARE_POLYGON, RLE_TEXT, RLE_LIST, OTHER_OUTLINE = range(6)
"""Kinds of `segmentation`; BARE_POLYGON is one polygon without the list around it."""

CROWD_ABSENT, CROWD_ODD = -1, 2
"""Marks of `iscrowd` beside 0 and 1: no such key, and a value that is neither 0 nor 1."""

_IMAGE_KEYS: Final = ("id", "file_name", "width", "height", "coco_url")


@dataclass(frozen=True)
class CocoFacts:
    """The three lists of a COCO file; annotations are numbered by their place in the list, from 0."""

    path: Path
    images: list[dict[str, Any] | None]  # the keys that matter; None for what is no JSON object
    categories: list[Any]
    annotations: Annotations
    outline_kinds: Marks  # [annotations]
    crowd_marks: Marks  # [annotations], 0, 1, CROWD_ABSENT or CROWD_ODD
    odd_crowd: dict[int, Any]  # the values that are neither 0 nor 1, by annotation
    with_bad_parts: npt.NDArray[np.int64]  # annotations with a polygon part that cannot be drawn
    annotation_keys: tuple[str, ...]  # of the first annotation
    source: Source | None = None  # where it is no COCO file


def read_facts(annotations: Path | Source) -> CocoFacts:
    """Parse a file, or take what the reader of another format found.

    Raises:
        DataError: no such file, not JSON, or not a COCO instances file; the message names what it seems to be.
    """
    if isinstance(annotations, Source):
        return _facts_of(annotations)
    path = annotations
    try:
        with opened_json(path) as text:
            images, categories, builder = _read(text)
    except (OSError, ValueError, RecursionError):
        images, categories, builder = None, [], _FactsBuilder()
    if not images or not categories:
        raise _not_coco(path)
    return builder.finish(path, images, categories)


def _facts_of(source: Source) -> CocoFacts:
    builder = _FactsBuilder()
    for batch in batches_of(source.annotations):
        builder.add(batch)
    images = [_needed(image) for image in source.images]
    return replace(builder.finish(source.place, images, source.categories), source=source)


def _not_coco(path: Path) -> DataError:
    """The reader's own message, which names the format that the file seems to be in."""
    try:
        read_coco_file(path)
    except DataError as error:
        return error
    return DataError(f"{path}: the lists `images` and `categories` cannot be read. Is it a COCO instances file?")


@dataclass
class _FactsBuilder:
    """Takes the annotations in batches, beside the reader's own builder."""

    columns: AnnotationsBuilder = field(default_factory=AnnotationsBuilder)
    kinds: array[int] = field(default_factory=lambda: array("b"))
    crowd: array[int] = field(default_factory=lambda: array("b"))
    odd_crowd: dict[int, Any] = field(default_factory=dict)
    with_bad_parts: array[int] = field(default_factory=lambda: array("q"))
    keys: tuple[str, ...] = ()

    def add(self, batch: list[Any]) -> None:
        entries = [entry if isinstance(entry, dict) else {} for entry in batch]
        if not self.kinds and entries:
            self.keys = tuple(entries[0])
        first = len(self.kinds)
        outlines: list[Any] = [entry.get("segmentation") for entry in entries]
        kinds = [_outline_kind(outline) for outline in outlines]
        self.kinds.extend(kinds)
        marks = [_crowd_mark(entry.get("iscrowd", _ABSENT)) for entry in entries]
        self.crowd.extend(marks)
        if CROWD_ODD in marks:
            odd = [number for number, mark in enumerate(marks) if mark == CROWD_ODD]
            self.odd_crowd |= {first + number: entries[number]["iscrowd"] for number in odd}
        polygons: list[tuple[int, list[Any]]] = [
            (number, outlines[number]) for number, kind in enumerate(kinds) if kind == POLYGONS
        ]
        sizes = {len(part) if isinstance(part, list) else 0 for _, parts in polygons for part in parts}
        if any(size < 6 or size % 2 for size in sizes):
            self.with_bad_parts.extend(first + number for number, parts in polygons if _has_bad_part(parts))
        self.columns.add(batch)

    def finish(self, path: Path, images: list[Any], categories: list[Any]) -> CocoFacts:
        return CocoFacts(
            path=path,
            images=images,
            categories=categories,
            annotations=self.columns.finish(),
            outline_kinds=np.array(self.kinds, dtype=np.int8),
            crowd_marks=np.array(self.crowd, dtype=np.int8),
            odd_crowd=self.odd_crowd,
            with_bad_parts=np.array(self.with_bad_parts, dtype=np.int64),
            annotation_keys=self.keys,
        )


_ABSENT: Final = object()


def _read(text: TextIO) -> tuple[list[Any] | None, list[Any], _FactsBuilder]:
    """The three lists, images None where there is no such list; other content is passed over."""
    stream = JsonStream(text)
    images: list[Any] | None = None
    categories: list[Any] = []
    builder = _FactsBuilder()
    if stream.peek() != "{":
        return None, categories, builder
    for key in stream.object_keys():
        if stream.peek() != "[":
            stream.value()
        elif key == "images":
            images = [_needed(image) for image in stream.elements()]
        elif key == "categories":
            categories = list(stream.elements())
        else:
            for batch in stream.batches():
                if key == "annotations":
                    builder.add(batch)
    return images, categories, builder


def _needed(image: Any) -> dict[str, Any] | None:
    return {key: image.get(key) for key in _IMAGE_KEYS} if isinstance(image, dict) else None


def _outline_kind(outline: object) -> int:
    if not outline:
        return NO_OUTLINE
    if isinstance(outline, list):
        return POLYGONS if isinstance(outline[0], list) else BARE_POLYGON
    if isinstance(outline, dict):
        return RLE_TEXT if isinstance(outline.get("counts"), str) else RLE_LIST
    return OTHER_OUTLINE


def _crowd_mark(value: object) -> int:
    if value is _ABSENT:
        return CROWD_ABSENT
    return int(value) if isinstance(value, int) and value in (0, 1) else CROWD_ODD


def _has_bad_part(parts: list[Any]) -> bool:
    return any(not isinstance(part, list) or len(part) < 6 or len(part) % 2 for part in parts)
