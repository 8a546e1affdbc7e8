"""Area and extent of every mask, drawn as training draws it.

The corners alone do not tell: where an outline crosses itself, its area by the shoelace formula is far from the mask's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.ground_truth import Rle
from maskrcnn_exp.data.polygons import per_part
from maskrcnn_exp.data.segments import Segments

__all__ = ["Outlines"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_GRID: Final = 5.0  # grid places per pixel in `Segments`
_AT_ONCE: Final = 200  # masks measured in one call: pycocotools fails for more than 255


class Outlines:
    """The outlines of a file by annotation; nan where there is none, or its picture's size is not known.

    areas: float64 [annotations], pixels.
    boxes: float64 [annotations, 4], x1 y1 x2 y2 of the mask; of no meaning for an empty one.
    extents: float64 [annotations, 4], x1 y1 x2 y2 of polygon corners, also outside of the picture; nan for run lengths.
    """

    def __init__(self, segments: Segments, rows: Ints, rle_sizes: Ints, sizes: Ints) -> None:
        """Measure all outlines.

        Args:
            segments: Of the file.
            rows: int64 [annotations], the row in `segments`; -1 for none.
            rle_sizes: int64 [annotations, 2], height and width of run lengths; 0 for polygons.
            sizes: int64 [annotations, 2], height and width of the picture; 0 where unknown.
        """
        self._segments, self._rows = segments, rows
        self.sizes = sizes
        self.areas, self.boxes = np.full(len(rows), np.nan), np.full((len(rows), 4), np.nan)
        # Run lengths of another size than the picture are refused before anybody draws them here.
        drawable = (rows >= 0) & (sizes > 0).all(axis=1)
        drawable &= (rle_sizes[:, 0] == 0) | (rle_sizes == sizes).all(axis=1)
        for some in _by_size(np.flatnonzero(drawable), sizes):
            rles = self.draw(some)
            self.areas[some] = coco_mask.area(rles)
            xywh = np.asarray(coco_mask.toBbox(rles)).reshape(-1, 4)
            self.boxes[some] = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        self.extents = _extents(segments, rows, rle_sizes)

    def draw(self, annotations: Ints) -> list[Rle]:
        """Return the compressed masks of annotations whose pictures have one size."""
        if len(annotations) == 0:
            return []
        height, width = self.sizes[annotations[0]].tolist()
        return self._segments.rles(self._rows[annotations].tolist(), height, width)


def _by_size(annotations: Ints, sizes: Ints) -> Iterator[Ints]:
    """Pieces whose pictures have one size each."""
    order = annotations[np.lexsort((sizes[annotations, 0], sizes[annotations, 1]))]
    changes = np.flatnonzero((np.diff(sizes[order], axis=0) != 0).any(axis=1)) + 1
    for group in np.split(order, changes):
        for start in range(0, len(group), _AT_ONCE):
            yield group[start : start + _AT_ONCE]


def _extents(segments: Segments, rows: Ints, rle_sizes: Ints) -> Floats:
    extents = np.full((len(rows), 4), np.nan)
    polygons = np.flatnonzero((rows >= 0) & (rle_sizes[:, 0] == 0))
    grid = segments.grid
    of_row = segments.first_parts
    has_part = np.diff(of_row) > 0
    row_starts = np.append(of_row[:-1][has_part], of_row[-1])
    place = np.cumsum(has_part) - 1  # of a row among those with parts
    for column, (function, first) in enumerate(((np.minimum, 0), (np.minimum, 1), (np.maximum, 0), (np.maximum, 1))):
        of_part = per_part(function, grid[first::2].astype(np.float64), segments.part_starts // 2)
        of_rows = per_part(function, of_part, row_starts)
        extents[polygons, column] = of_rows[place[rows[polygons]]] / _GRID
    return extents
