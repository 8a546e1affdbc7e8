"""The usable annotations of a COCO file, grouped by picture; checked once, so that none can stop a run later.

No Python object is kept per annotation: workers share the arrays, and starting one copies little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.coco_columns import Annotations, Id
from maskrcnn_exp.data.coco_pictures import Pictures
from maskrcnn_exp.data.segments import Segments

__all__ = ["CocoIndex", "index_annotations"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CocoIndex:
    """Annotations in the order of the pictures, within a picture in the file's order."""

    first_of_picture: Ints  # [pictures + 1], where the annotations of a picture begin
    ids: npt.NDArray[Any]  # int64 [annotations], or a string array where any id is a string
    labels: Ints  # [annotations], 1, 2, …
    crowd: Bools  # [annotations]
    areas: npt.NDArray[np.float64]  # [annotations], as in the file; nan where it has none
    boxes_xywh: npt.NDArray[np.float64]  # [annotations, 4], as in the file; nan where it has none
    rows: Ints  # [annotations], the row in `segments`
    segments: Segments

    def of_picture(self, position: int) -> Ints:
        """The annotations of a picture, crowd regions included."""
        return np.arange(self.first_of_picture[position], self.first_of_picture[position + 1])

    def instances_of_picture(self, position: int) -> Ints:
        """The annotations of a picture without crowd regions."""
        annotations = self.of_picture(position)
        return annotations[~self.crowd[annotations]]

    def counts(self) -> tuple[Ints, Ints]:
        """Instances and crowd regions of each picture: int64 [pictures] each."""
        crowd_before = np.concatenate(([0], np.cumsum(self.crowd)))
        crowd = np.diff(crowd_before[self.first_of_picture])
        return np.diff(self.first_of_picture) - crowd, crowd


def index_annotations(
    annotations: Annotations, pictures: Pictures, position_of: dict[Id, int], label_of: dict[Id, int]
) -> tuple[CocoIndex, Bools, dict[str, list[str]]]:
    """Return the index, the pictures that lost every annotation they had, and what was left out.

    Args:
        annotations: All annotations of the file.
        pictures: The usable pictures.
        position_of: Position of each image id in `pictures`; -1 for a picture that was left out.
        label_of: Label of each category id.

    Returns:
        The index, bool [pictures], and {reason: annotation ids}.
    """
    positions, known = _positions(annotations, position_of)
    labels = _labels(annotations, label_of)
    # An annotation may be unusable for several reasons; it is listed under the first.
    unusable = [
        ("unknown image_id", ~known),
        ("annotation of a picture that was left out", known & (positions < 0)),
        ("unknown category_id", labels == 0),
        *((reason, _as_bools(numbers, len(annotations))) for reason, numbers in annotations.unusable.items()),
        *_misfits(annotations, pictures, positions),
    ]
    usable = np.ones(len(annotations), dtype=bool)
    left_out: dict[str, list[str]] = {}
    for reason, bad in unusable:
        if (bad & usable).any():
            left_out.setdefault(reason, []).extend(map(str, annotations.ids[bad & usable].tolist()))
        usable &= ~bad
    index = _grouped(annotations, positions, labels, usable, len(pictures))
    had = np.bincount(positions[positions >= 0], minlength=len(pictures)) > 0
    return index, had & (np.diff(index.first_of_picture) == 0), left_out


def _positions(annotations: Annotations, position_of: dict[Id, int]) -> tuple[Ints, Bools]:
    """The picture of each annotation, -1 for none, and whether its image_id is in the file at all."""
    unknown = -2
    positions = np.array([position_of.get(value, unknown) for value in annotations.image_ids.tolist()], dtype=np.int64)
    return np.maximum(positions, -1), positions != unknown


def _labels(annotations: Annotations, label_of: dict[Id, int]) -> Ints:
    """The label of each annotation, 0 for an unknown category."""
    return np.array([label_of.get(value, 0) for value in annotations.category_ids.tolist()], dtype=np.int64)


def _misfits(annotations: Annotations, pictures: Pictures, positions: Ints) -> list[tuple[str, Bools]]:
    """Annotations whose outline does not fit the picture: bool [annotations] by reason."""
    placed = (positions >= 0) & (annotations.rows >= 0)
    sizes = np.zeros((len(annotations), 2), dtype=np.int64)  # height, width of the picture
    sizes[placed] = np.stack([pictures.heights, pictures.widths], axis=1)[positions[placed]]
    from_rle = annotations.rle_sizes[:, 0] > 0
    other_size = placed & from_rle & (annotations.rle_sizes != sizes).any(axis=1)
    drawn_sizes = np.zeros((len(annotations.segments), 2), dtype=np.int64)
    drawn_sizes[annotations.rows[placed]] = sizes[placed]
    empty_rows = annotations.segments.empty_rows(drawn_sizes[:, 0], drawn_sizes[:, 1])
    empty = np.zeros(len(annotations), dtype=bool)
    empty[placed] = empty_rows[annotations.rows[placed]]
    return [("RLE size differs from the picture", other_size), ("mask without a pixel", empty)]


def _grouped(annotations: Annotations, positions: Ints, labels: Ints, usable: Bools, pictures: int) -> CocoIndex:
    chosen = np.flatnonzero(usable)
    chosen = chosen[np.argsort(positions[chosen], kind="stable")]
    return CocoIndex(
        first_of_picture=np.searchsorted(positions[chosen], np.arange(pictures + 1)),
        ids=annotations.ids[chosen],
        labels=labels[chosen],
        crowd=annotations.crowd[chosen],
        areas=annotations.areas[chosen],
        boxes_xywh=annotations.boxes_xywh[chosen],
        rows=annotations.rows[chosen],
        segments=annotations.segments,
    )


def _as_bools(numbers: Ints, count: int) -> Bools:
    bools = np.zeros(count, dtype=bool)
    bools[numbers] = True
    return bools
