"""What would mend a COCO file: collected by the checks that find the faults, applied by `repair_file`.

Entries are named by their place in the file, since their ids may be absent or shared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.coco_columns import Id

__all__ = ["Edit", "Repairs"]


@dataclass
class Edit:
    """What happens to one entry."""

    values: dict[str, Any] = field(default_factory=dict)  # keys to set
    drop: str = ""  # why the entry is left out; "" where it stays
    outline: bool = False  # put the polygons in order: nested, without parts that cannot be drawn, inside the picture
    why: list[str] = field(default_factory=list)  # one sentence per change, without the entry's name


@dataclass
class Repairs:
    """The changes of one file. A dropped entry is never changed, and the first reason to drop it stays."""

    images: dict[int, Edit] = field(default_factory=dict)
    annotations: dict[int, Edit] = field(default_factory=dict)
    categories: list[Any] | None = None  # the whole list anew; None leaves it as it is
    category_of: dict[Id, Id] = field(default_factory=dict)  # ids of categories that were joined -> what they became
    category_changes: list[str] = field(default_factory=list)
    set_absent_crowd: bool = False  # iscrowd 0 where it is absent: an edit for each of a million would take too much
    impossible: list[str] = field(default_factory=list)  # why no repaired file can be written

    def drop_image(self, number: int, why: str) -> None:
        _drop(self.images, number, why)

    def drop_annotation(self, number: int, why: str) -> None:
        _drop(self.annotations, number, why)

    def set_image(self, number: int, key: str, value: Any, why: str) -> None:
        _set(self.images, number, key, value, why)

    def set_annotation(self, number: int, key: str, value: Any, why: str) -> None:
        _set(self.annotations, number, key, value, why)

    def order_outline(self, number: int, why: str) -> None:
        edit = self.annotations.setdefault(number, Edit())
        edit.outline = True
        edit.why.append(why)

    def dropped_images(self) -> set[int]:
        return {number for number, edit in self.images.items() if edit.drop}

    def settle(self, image_of: npt.NDArray[np.int64], image_count: int) -> None:
        """Drop what lost its ground: annotations of dropped pictures, and pictures that lost all their annotations.

        The latter would come back as pictures without objects and teach that their objects are background.

        Args:
            image_of: int64 [annotations], the place of each annotation's picture, -1 for none.
            image_count: Entries of `images`.
        """
        gone = np.zeros(image_count, dtype=bool)
        gone[list(self.dropped_images())] = True
        for number in np.flatnonzero((image_of >= 0) & gone[image_of]).tolist():
            self.drop_annotation(number, "its picture is left out")
        stays = image_of >= 0
        stays[[number for number, edit in self.annotations.items() if edit.drop]] = False
        had = np.bincount(image_of[image_of >= 0], minlength=image_count) > 0
        has = np.bincount(image_of[stays], minlength=image_count) > 0
        for number in np.flatnonzero(had & ~has & ~gone).tolist():
            self.drop_image(number, "every annotation that it had is left out: it would pass for a picture of nothing")


def _drop(edits: dict[int, Edit], number: int, why: str) -> None:
    edit = edits.setdefault(number, Edit())
    edit.drop = edit.drop or why


def _set(edits: dict[int, Edit], number: int, key: str, value: Any, why: str) -> None:
    edit = edits.setdefault(number, Edit())
    edit.values[key] = value
    edit.why.append(why)
