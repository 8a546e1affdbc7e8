"""The annotations of a COCO file as columns, each annotation packed as soon as it is parsed.

What can be checked without the picture is checked here.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.rle import Unusable, checked_rle
from maskrcnn_exp.data.segments import Segments, SegmentsBuilder

__all__ = ["Annotations", "AnnotationsBuilder", "Id", "as_id", "id_array"]

Ints = npt.NDArray[np.int64]
Id = int | str


@dataclass(frozen=True)
class Annotations:
    """All annotations in the file's order; one without a usable outline has row -1."""

    ids: npt.NDArray[Any]  # int64 [annotations], or a string array where any id is a string
    image_ids: list[Id | None]
    category_ids: list[Id | None]
    crowd: npt.NDArray[np.bool_]  # [annotations]
    areas: npt.NDArray[np.float64]  # [annotations], nan where absent
    boxes_xywh: npt.NDArray[np.float64]  # [annotations, 4], nan where absent
    rows: Ints  # [annotations], the row in `segments`
    segments: Segments
    rle_sizes: Ints  # [annotations, 2], height and width that an RLE was made for; 0 for polygons
    unusable: dict[str, Ints]  # reason -> annotations
    lost_parts: int  # polygon parts dropped from their instances

    def __len__(self) -> int:
        return len(self.rows)


@dataclass
class AnnotationsBuilder:
    """Takes the annotations one by one, as the JSON parser gives them."""

    _segments: SegmentsBuilder = field(default_factory=SegmentsBuilder)
    _ids: list[Id] = field(default_factory=list)
    _image_ids: list[Id | None] = field(default_factory=list)
    _category_ids: list[Id | None] = field(default_factory=list)
    _crowd: array[int] = field(default_factory=lambda: array("b"))
    _areas: array[float] = field(default_factory=lambda: array("d"))
    _boxes: array[float] = field(default_factory=lambda: array("d"))
    _rows: array[int] = field(default_factory=lambda: array("q"))
    _rle_sizes: array[int] = field(default_factory=lambda: array("q"))
    _unusable: dict[str, list[int]] = field(default_factory=dict)
    _lost_parts: int = 0

    def add(self, entry: Any) -> None:
        """Append one annotation. Nothing is refused: what is wrong with it is noted."""
        if not isinstance(entry, dict):
            entry = {}
        number = len(self._ids)
        found = as_id(entry.get("id"))
        self._ids.append(f"#{number}" if found is None else found)
        self._image_ids.append(as_id(entry.get("image_id")))
        self._category_ids.append(as_id(entry.get("category_id")))
        self._crowd.append(1 if entry.get("iscrowd") else 0)
        self._areas.append(_number(entry.get("area")))
        self._boxes.extend(_box(entry.get("bbox")))
        row, height, width = -1, 0, 0
        try:
            row, height, width = self._add_outline(entry.get("segmentation"))
        except Unusable as reason:
            self._unusable.setdefault(str(reason), []).append(number)
        self._rows.append(row)
        self._rle_sizes.append(height)
        self._rle_sizes.append(width)

    def finish(self) -> Annotations:
        segments, bad_rows = self._segments.finish()
        rows = np.array(self._rows, dtype=np.int64)
        number_of_row = np.flatnonzero(rows >= 0)
        unusable = {reason: np.array(numbers, dtype=np.int64) for reason, numbers in self._unusable.items()}
        unusable |= {reason: number_of_row[bad] for reason, bad in bad_rows.items() if len(bad)}
        for numbers in unusable.values():
            rows[numbers] = -1
        return Annotations(
            ids=id_array(self._ids),
            image_ids=self._image_ids,
            category_ids=self._category_ids,
            crowd=np.array(self._crowd, dtype=bool),
            areas=np.array(self._areas, dtype=np.float64),
            boxes_xywh=np.array(self._boxes, dtype=np.float64).reshape(-1, 4),
            rows=rows,
            segments=segments,
            rle_sizes=np.array(self._rle_sizes, dtype=np.int64).reshape(-1, 2),
            unusable=unusable,
            lost_parts=self._lost_parts,
        )

    def _add_outline(self, outline: Any) -> tuple[int, int, int]:
        """Return the row, and the height and width of an RLE. Raises Unusable."""
        if not outline:
            raise Unusable("no segmentation")
        if isinstance(outline, dict):
            counts, height, width = checked_rle(outline.get("counts"), outline.get("size"))
            return self._segments.add_counts(counts), height, width
        if not isinstance(outline, list):
            raise Unusable("segmentation is neither polygons nor an RLE")
        # Some tools write a single polygon without the list around it.
        parts = outline if isinstance(outline[0], list) else [outline]
        usable = _usable_parts(parts)
        self._lost_parts += len(parts) - len(usable)
        return self._segments.add_polygons(usable), 0, 0


def as_id(value: object) -> Id | None:
    """Return an id as the JSON file has it, 3.0 as 3; None where it is no id at all."""
    if isinstance(value, int | str):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def id_array(ids: list[Id]) -> npt.NDArray[Any]:
    """int64 where all ids are such numbers, else a string array."""
    if all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in ids):
        return np.array(ids, dtype=np.int64)
    return np.array([str(value) for value in ids])


def _usable_parts(parts: list[Any]) -> list[array[float]]:
    try:
        numbers = [array("d", part) for part in parts]
    except (TypeError, OverflowError):
        raise Unusable("polygon with something else than numbers") from None
    usable = [part for part in numbers if len(part) >= 6 and len(part) % 2 == 0]
    if usable:
        return usable
    odd = any(len(part) >= 6 for part in numbers)
    raise Unusable(f"polygon with {'an odd number of coordinates' if odd else 'fewer than 3 points'}")


_NO_BOX = (math.nan,) * 4


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else math.nan


def _box(value: object) -> tuple[float, ...]:
    return tuple(map(_number, value)) if isinstance(value, list) and len(value) == 4 else _NO_BOX
