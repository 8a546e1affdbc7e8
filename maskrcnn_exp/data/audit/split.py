"""One split as the checks of any dataset see it: its pictures and its usable objects, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.look import Look
from maskrcnn_exp.data.coco_columns import Id
from maskrcnn_exp.data.ground_truth import Rle

__all__ = ["Objects", "Split"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Objects:
    """The usable objects, in the order of `numbers`."""

    numbers: Ints  # [objects], place in the file, or in the split where there is no file
    ids: npt.NDArray[Any]  # [objects], as a user finds them
    pictures: Ints  # [objects], place of the picture in the split
    labels: Ints  # [objects], position of the class
    crowd: npt.NDArray[np.bool_]  # [objects]
    areas: npt.NDArray[np.float64]  # [objects], pixels of the mask
    boxes: npt.NDArray[np.float64]  # [objects, 4], x1 y1 x2 y2 of the mask

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, which: npt.NDArray[Any]) -> Objects:
        """Some of the objects: bool [objects] or their positions."""
        values = {name: getattr(self, name)[which] for name in self.__dataclass_fields__}
        return Objects(**values)


@dataclass(frozen=True)
class Split:
    """The usable pictures are those of `usable`; places in the other fields are the file's own."""

    name: str  # train or val
    picture_ids: list[Id]  # [pictures]
    names: list[str]  # [pictures], file names
    sizes: Ints  # [pictures, 2], height and width
    usable: npt.NDArray[np.bool_]  # [pictures]
    objects: Objects
    class_ids: tuple[Id, ...]
    class_names: tuple[str, ...]
    looks: dict[int, Look]  # by picture; empty where they were not read
    draw: Callable[[Ints], list[Rle]]  # masks of objects, by `numbers`, of pictures of one size

    def instances(self) -> Objects:
        """The objects that are no crowd regions."""
        return self.objects.take(~self.objects.crowd)

    def part(self, name: str, pictures: npt.NDArray[np.bool_]) -> Split:
        """The split with fewer usable pictures: bool [pictures]."""
        return replace(
            self, name=name, usable=self.usable & pictures, objects=self.objects.take(pictures[self.objects.pictures])
        )
