"""The outlines of all instances of a dataset in a few flat arrays: nothing to pickle, nothing to copy on fork.

Row r of the arrays is one instance: polygon parts, or compressed run lengths.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.ground_truth import Rle
from maskrcnn_exp.data.polygons import (
    MAX_COORDINATE,
    draw_parts,
    per_part,
    short_outlines,
    surely_drawn,
    to_grid,
)

__all__ = ["Segments", "SegmentsBuilder"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_CHUNK: Final = 2_000  # rows worked on at once: what that takes stays in the processor's cache
_PACK_AT: Final = 50_000  # coordinates packed at once, for the same reason


@dataclass(frozen=True)
class Segments:
    """Outlines by row; `rles` makes masks of them."""

    grid: npt.NDArray[np.int32]  # x y x y … of all polygon parts, in fifths of a pixel
    part_starts: Ints  # [parts + 1], where in `grid` a part begins
    first_parts: Ints  # [rows + 1], the first part of a row
    counts: npt.NDArray[np.uint8]  # compressed run lengths of all RLE rows
    count_starts: Ints  # [rows + 1], where in `counts` a row begins

    def __len__(self) -> int:
        return len(self.first_parts) - 1

    def rles(self, rows: Iterable[int], height: int, width: int) -> list[Rle]:
        """Return the compressed masks of some rows, all in one picture of height × width pixels."""
        rows = list(rows)
        parts = [self._parts(row) for row in rows]
        drawn = draw_parts([part for row_parts in parts for part in row_parts], height, width)
        rles: list[Rle] = []
        done = 0
        for row, row_parts in zip(rows, parts, strict=True):
            own, done = drawn[done : done + len(row_parts)], done + len(row_parts)
            if not own:
                stored = self.counts[self.count_starts[row] : self.count_starts[row + 1]].tobytes()
                rles.append({"size": [height, width], "counts": stored})
            else:
                rles.append(own[0] if len(own) == 1 else coco_mask.merge(own))
        return rles

    def empty_rows(self, heights: Ints, widths: Ints) -> Bools:
        """Tell which polygons have no pixel in their picture: bool [rows].

        Args:
            heights: int64 [rows], of each row's picture; 0 where the row is of no interest.
            widths: int64 [rows].
        """
        empty = np.zeros(len(self), dtype=bool)
        for rows in self._chunks():
            in_doubt = rows[~self._surely_drawn(rows, heights[rows], widths[rows])]
            for row in in_doubt[heights[in_doubt] > 0].tolist():
                (rle,) = self.rles([row], int(heights[row]), int(widths[row]))
                empty[row] = coco_mask.area(rle) == 0
        return empty

    def _surely_drawn(self, rows: Ints, heights: Ints, widths: Ints) -> Bools:
        """bool [rows]; RLE rows always are, as those without a pixel do not come in."""
        parts = slice(self.first_parts[rows[0]], self.first_parts[rows[-1] + 1] + 1)
        starts = self.part_starts[parts]
        row_of_part = np.repeat(np.arange(len(rows)), np.diff(self.first_parts[rows[0] : rows[-1] + 2]))
        grid = self.grid[starts[0] : starts[-1]]
        drawn = surely_drawn(grid, starts - starts[0], heights[row_of_part], widths[row_of_part])
        sure = np.ones(len(rows), dtype=bool)
        sure[row_of_part] = False
        sure[row_of_part[drawn]] = True
        return sure

    def _chunks(self) -> Iterator[Ints]:
        return (np.arange(start, min(start + _CHUNK, len(self))) for start in range(0, len(self), _CHUNK))

    def _parts(self, row: int) -> list[npt.NDArray[np.int32]]:
        return [
            self.grid[self.part_starts[part] : self.part_starts[part + 1]]
            for part in range(self.first_parts[row], self.first_parts[row + 1])
        ]


@dataclass
class SegmentsBuilder:
    """Takes rows one by one. Coordinates are packed to half their size every so often."""

    _coordinates: array[float] = field(default_factory=lambda: array("d"))  # of the rows not packed yet
    # One array that grows in place: pieces to be joined at the end would take the memory twice and leave holes in it.
    _grid: array[int] = field(default_factory=lambda: array("i"))
    _part_sizes: array[int] = field(default_factory=lambda: array("q"))
    _parts: array[int] = field(default_factory=lambda: array("q"))
    _counts: bytearray = field(default_factory=bytearray)
    _count_sizes: array[int] = field(default_factory=lambda: array("q"))
    _packed_parts: int = 0
    _not_finite: list[Bools] = field(default_factory=list)
    _too_far: list[Bools] = field(default_factory=list)

    def add_polygons(self, coordinates: array[float], part_sizes: list[int], parts: list[int]) -> int:
        """Append rows of polygon parts and return the number of the first.

        Args:
            coordinates: x y x y … of all parts behind one another.
            part_sizes: Coordinates of each part: even, 6 or more.
            parts: Parts of each row, 1 or more.
        """
        first = len(self._parts)
        self._coordinates.extend(coordinates)
        self._part_sizes.extend(part_sizes)
        self._parts.extend(parts)
        self._count_sizes.frombytes(bytes(len(parts) * self._count_sizes.itemsize))
        if len(self._coordinates) >= _PACK_AT:
            self._pack()
        return first

    def add_counts(self, counts: bytes) -> int:
        """Append a row of compressed run lengths, already checked, with a pixel or more; return its number."""
        self._counts += counts
        self._count_sizes.append(len(counts))
        self._parts.append(0)
        return len(self._parts) - 1

    def finish(self) -> tuple[Segments, dict[str, Ints]]:
        """Return the rows, with the unusable ones as {reason: row numbers}. The builder is used up."""
        self._pack()
        row_of_part = np.repeat(np.arange(len(self._parts)), self._parts)  # [parts]
        segments = Segments(
            np.frombuffer(self._grid, dtype=np.int32),
            _starts(self._part_sizes),
            _starts(self._parts),
            np.frombuffer(self._counts, dtype=np.uint8),
            _starts(self._count_sizes),
        )
        return segments, {
            "polygon with coordinates that are not finite": np.unique(row_of_part[np.concatenate(self._not_finite)]),
            "polygon far outside the picture": np.unique(row_of_part[np.concatenate(self._too_far)]),
        }

    def _pack(self) -> None:
        """Put the coordinates on the grid. Parts that cannot be drawn become zeros and are noted."""
        starts = _starts(self._part_sizes[self._packed_parts :])
        coordinates = np.array(self._coordinates, dtype=np.float64)
        farthest = per_part(np.maximum, np.abs(coordinates), starts)  # nan where any coordinate is
        finite = np.isfinite(farthest)
        near = finite & (farthest <= MAX_COORDINATE)
        if not near.all():
            coordinates[~np.repeat(near, np.diff(starts))] = 0.0
        grid = to_grid(coordinates)
        near &= short_outlines(grid, starts)
        self._grid.frombytes(grid.view(np.uint8).data)
        self._not_finite.append(~finite)
        self._too_far.append(finite & ~near)
        self._packed_parts = len(self._part_sizes)
        self._coordinates = array("d")


def _starts(sizes: array[int]) -> Ints:
    return np.concatenate(([0], np.cumsum(np.array(sizes, dtype=np.int64))))
