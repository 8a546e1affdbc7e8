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
    MAX_OUTLINE,
    draw_parts,
    outline_lengths,
    per_part,
    surely_drawn,
    to_grid,
)

__all__ = ["Segments", "SegmentsBuilder"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_CHUNK: Final = 20_000  # rows worked on at once; bounds the memory that the work takes


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
    _grids: list[npt.NDArray[np.int32]] = field(default_factory=list)
    _part_sizes: array[int] = field(default_factory=lambda: array("q"))
    _parts: array[int] = field(default_factory=lambda: array("q"))
    _counts: bytearray = field(default_factory=bytearray)
    _count_sizes: array[int] = field(default_factory=lambda: array("q"))
    _packed_parts: int = 0
    _not_finite: list[Bools] = field(default_factory=list)
    _too_far: list[Bools] = field(default_factory=list)

    def add_polygons(self, parts: list[array[float]]) -> int:
        """Append a row of polygon parts, each with 3 points or more; return its number."""
        for part in parts:
            self._coordinates.extend(part)
            self._part_sizes.append(len(part))
        return self._end_row(len(parts), 0)

    def add_counts(self, counts: bytes) -> int:
        """Append a row of compressed run lengths, already checked, with a pixel or more; return its number."""
        self._counts += counts
        return self._end_row(0, len(counts))

    def finish(self) -> tuple[Segments, dict[str, Ints]]:
        """Return the rows, with the unusable ones as {reason: row numbers}. The builder is empty afterwards."""
        self._pack()
        row_of_part = np.repeat(np.arange(len(self._parts)), self._parts)  # [parts]
        # Emptied while it is joined: the grid of a large dataset need not be in memory twice.
        grid = np.empty(sum(len(piece) for piece in self._grids), dtype=np.int32)
        place = len(grid)
        while self._grids:
            piece = self._grids.pop()
            place -= len(piece)
            grid[place : place + len(piece)] = piece
        segments = Segments(
            grid,
            _starts(self._part_sizes),
            _starts(self._parts),
            np.frombuffer(bytes(self._counts), dtype=np.uint8),
            _starts(self._count_sizes),
        )
        return segments, {
            "polygon with coordinates that are not finite": np.unique(row_of_part[np.concatenate(self._not_finite)]),
            "polygon far outside the picture": np.unique(row_of_part[np.concatenate(self._too_far)]),
        }

    def _end_row(self, parts: int, count_size: int) -> int:
        self._parts.append(parts)
        self._count_sizes.append(count_size)
        if len(self._parts) % _CHUNK == 0:
            self._pack()
        return len(self._parts) - 1

    def _pack(self) -> None:
        """Put the coordinates on the grid. Parts that cannot be drawn become zeros and are noted."""
        starts = _starts(self._part_sizes[self._packed_parts :])
        coordinates = np.array(self._coordinates, dtype=np.float64)
        farthest = per_part(np.maximum, np.abs(coordinates), starts)  # nan where any coordinate is
        finite = np.isfinite(farthest)
        near = finite & (farthest <= MAX_COORDINATE)
        grid = to_grid(np.where(np.repeat(near, np.diff(starts)), coordinates, 0.0))
        near &= outline_lengths(grid, starts) <= MAX_OUTLINE
        self._grids.append(grid)
        self._not_finite.append(~finite)
        self._too_far.append(finite & ~near)
        self._packed_parts = len(self._part_sizes)
        self._coordinates = array("d")


def _starts(sizes: array[int]) -> Ints:
    return np.concatenate(([0], np.cumsum(np.array(sizes, dtype=np.int64))))
