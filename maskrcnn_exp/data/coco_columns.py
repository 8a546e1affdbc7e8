"""The annotations of a COCO file as columns, packed as soon as they are parsed.

What can be checked without the picture is checked here. A batch whose values are all as they should be is taken by
column; one with something odd in it, value by value.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.rle import Unusable, checked_rle
from maskrcnn_exp.data.segments import Segments, SegmentsBuilder

__all__ = ["ODD_CROWD", "Annotations", "AnnotationsBuilder", "Id", "as_id", "id_array"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Id = int | str

_PIECES = 512
ODD_CROWD = "iscrowd that is neither 0 nor 1"
"""A reason for which an annotation is unusable."""


@dataclass(frozen=True)
class Annotations:
    """All annotations in the file's order; one without a usable outline has row -1."""

    ids: npt.NDArray[Any]  # int64 [annotations], or a string array where any id is a string
    image_ids: npt.NDArray[Any]  # int64 [annotations], or objects, each an Id or None, where any is no such number
    category_ids: npt.NDArray[Any]  # as image_ids
    crowd: npt.NDArray[np.bool_]  # [annotations]
    areas: Floats  # [annotations], nan where absent
    boxes_xywh: Floats  # [annotations, 4], nan where absent
    rows: Ints  # [annotations], the row in `segments`
    segments: Segments
    rle_sizes: Ints  # [annotations, 2], height and width that an RLE was made for; 0 for polygons
    unusable: dict[str, Ints]  # reason -> annotations
    lost_parts: int  # polygon parts dropped from their instances
    odd_areas: list[Id]  # annotations whose area is there and no number
    odd_boxes: list[Id]  # whose bbox is there and holds no number

    def __len__(self) -> int:
        return len(self.rows)


class _Column:
    """One value per annotation. Joined now and then, as thousands of small arrays would leave holes in the heap."""

    def __init__(self, dtype: type[np.generic]) -> None:
        self._pieces = [np.empty(0, dtype=dtype)]

    def add(self, piece: npt.NDArray[Any]) -> None:
        self._pieces.append(piece)
        if len(self._pieces) > _PIECES:
            self._pieces = [self.joined()]

    def joined(self) -> npt.NDArray[Any]:
        return np.concatenate(self._pieces)


@dataclass
class AnnotationsBuilder:
    """Takes the annotations in batches, as the JSON parser gives them."""

    _segments: SegmentsBuilder = field(default_factory=SegmentsBuilder)
    _ids: _Column = field(default_factory=lambda: _Column(np.int64))
    _image_ids: _Column = field(default_factory=lambda: _Column(np.int64))
    _category_ids: _Column = field(default_factory=lambda: _Column(np.int64))
    _crowd: _Column = field(default_factory=lambda: _Column(np.bool_))
    _areas: _Column = field(default_factory=lambda: _Column(np.float64))
    _boxes: _Column = field(default_factory=lambda: _Column(np.float64))
    _rows: array[int] = field(default_factory=lambda: array("q"))
    _rle_sizes: array[int] = field(default_factory=lambda: array("q"))
    _unusable: dict[str, list[int]] = field(default_factory=dict)
    _lost_parts: int = 0
    _odd_areas: list[Id] = field(default_factory=list)
    _odd_boxes: list[Id] = field(default_factory=list)

    def add(self, batch: list[Any]) -> None:
        """Append some annotations. Nothing is refused: what is wrong with one is noted."""
        entries = [entry if isinstance(entry, dict) else {} for entry in batch]
        ids = _ids([entry.get("id") for entry in entries])
        if ids.dtype == object:
            first = len(self._rows)
            ids[:] = [f"#{first + n}" if value is None else value for n, value in enumerate(ids.tolist())]
        self._ids.add(ids)
        self._image_ids.add(_ids([entry.get("image_id") for entry in entries]))
        self._category_ids.add(_ids([entry.get("category_id") for entry in entries]))
        self._add_crowd([entry.get("iscrowd") for entry in entries])
        self._add_measures(ids, [entry.get("area") for entry in entries], [entry.get("bbox") for entry in entries])
        self._add_outlines([entry.get("segmentation") for entry in entries])

    def finish(self) -> Annotations:
        segments, bad_rows = self._segments.finish()
        rows = np.array(self._rows, dtype=np.int64)
        number_of_row = np.flatnonzero(rows >= 0)
        unusable = {reason: np.array(numbers, dtype=np.int64) for reason, numbers in sorted(self._unusable.items())}
        unusable |= {reason: number_of_row[bad] for reason, bad in bad_rows.items() if len(bad)}
        for numbers in unusable.values():
            rows[numbers] = -1
        return Annotations(
            ids=_text_where_mixed(self._ids.joined()),
            image_ids=self._image_ids.joined(),
            category_ids=self._category_ids.joined(),
            crowd=self._crowd.joined(),
            areas=self._areas.joined(),
            boxes_xywh=self._boxes.joined().reshape(-1, 4),
            rows=rows,
            segments=segments,
            rle_sizes=np.array(self._rle_sizes, dtype=np.int64).reshape(-1, 2),
            unusable=unusable,
            lost_parts=self._lost_parts,
            odd_areas=self._odd_areas,
            odd_boxes=self._odd_boxes,
        )

    def _add_crowd(self, marks: list[Any]) -> None:
        """A mark that is neither 0 nor 1 is not guessed: as a crowd the object would be lost as a target."""
        fine = [mark is None or (isinstance(mark, int | float) and mark in (0, 1)) for mark in marks]
        if not all(fine):
            odd = self._unusable.setdefault(ODD_CROWD, [])
            odd += [len(self._rows) + place for place, is_fine in enumerate(fine) if not is_fine]
        self._crowd.add(np.array([mark == 1 for mark in marks], dtype=bool))

    def _add_measures(self, ids: npt.NDArray[Any], areas: list[Any], boxes: list[Any]) -> None:
        """Take areas and boxes as they are, nan for what is no number."""
        area, box = _numbers(areas), _boxes(boxes)
        nothing = np.isnan(box.reshape(-1, 4)).all(axis=1)
        for odd, values, absent in ((self._odd_areas, areas, np.isnan(area)), (self._odd_boxes, boxes, nothing)):
            odd += [ids.tolist()[place] for place in np.flatnonzero(absent) if values[place] is not None]
        self._areas.add(area)
        self._boxes.add(box)

    def _add_outlines(self, outlines: list[Any]) -> None:
        for are_lists, some in groupby(outlines, key=lambda outline: type(outline) is list):
            group = list(some)
            if not (are_lists and self._add_whole_polygons(group)):
                for outline in group:
                    self._add_outline(outline)

    def _add_whole_polygons(self, outlines: list[list[Any]]) -> bool:
        """Append outlines that are nothing but polygon parts as they should be; False where any is not."""
        coordinates: array[float] = array("d")
        try:
            for part in chain.from_iterable(outlines):
                coordinates.fromlist(part)
        except (TypeError, OverflowError):
            return False
        part_sizes = [len(part) for outline in outlines for part in outline]
        sizes, parts = np.array(part_sizes, dtype=np.int64), [len(outline) for outline in outlines]
        if not all(parts) or ((sizes < 6) | (sizes % 2 == 1)).any():
            return False
        first = self._segments.add_polygons(coordinates, part_sizes, parts)
        self._rows.extend(range(first, first + len(outlines)))
        self._rle_sizes.frombytes(bytes(16 * len(outlines)))
        return True

    def _add_outline(self, outline: Any) -> None:
        row, height, width = -1, 0, 0
        try:
            row, height, width = self._checked_row(outline)
        except Unusable as reason:
            self._unusable.setdefault(str(reason), []).append(len(self._rows))
        self._rows.append(row)
        self._rle_sizes.extend((height, width))

    def _checked_row(self, outline: Any) -> tuple[int, int, int]:
        """Return the row, and the height and width of an RLE. Raises Unusable."""
        if isinstance(outline, Unusable):  # the reader of another format knew already
            raise outline
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
        coordinates = array("d", list(chain.from_iterable(usable)))
        return self._segments.add_polygons(coordinates, [len(part) for part in usable], [len(usable)]), 0, 0


def as_id(value: object) -> Id | None:
    """Return an id as the JSON file has it, 3.0 as 3; None where it is no id at all, as true is none."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def id_array(ids: list[Id]) -> npt.NDArray[Any]:
    """int64 where all ids are such numbers, else a string array."""
    return _text_where_mixed(_ids(ids))


def _ids(values: list[Any]) -> npt.NDArray[Any]:
    """int64 [n] where all are such numbers, else objects: Id or None."""
    found = values if set(map(type, values)) <= {int} else [as_id(value) for value in values]
    if all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in found):
        return np.array(found, dtype=np.int64)
    mixed = np.empty(len(found), dtype=object)
    mixed[:] = found
    return mixed


def _text_where_mixed(ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.array([str(value) for value in ids.tolist()]) if ids.dtype == object else ids


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


def _numbers(values: list[Any]) -> Floats:
    """float64 [n], nan for what is no number, or a huge one."""
    try:
        plain = set(map(type, values)) <= {int, float}
        numbers = np.array(values if plain else [_number(value) for value in values], dtype=np.float64)
    except OverflowError:
        numbers = np.array([_number(value) for value in values], dtype=np.float64)
    numbers[~(np.abs(numbers) < _HUGE)] = np.nan
    return numbers


def _boxes(values: list[Any]) -> Floats:
    """float64 [n · 4], nan for a box that is no list of four."""
    boxes = [value if isinstance(value, list) and len(value) == 4 else _NO_BOX for value in values]
    return _numbers(list(chain.from_iterable(boxes)))


_NO_BOX = (math.nan,) * 4
_HUGE = 1e300


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < _HUGE else math.nan
