"""The `images` of a COCO file: ids, names, sizes. What the folder of pictures says comes later."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.coco_columns import Id, as_id
from maskrcnn_exp.data.coco_json import name_in_url

__all__ = ["Entries", "leads_outside"]


@dataclass
class Entries:
    """The pictures by their place in the file. The checks put in what they learn."""

    ids: list[Id | None]
    names: list[str]  # relative to the folder; "" for none
    sizes: npt.NDArray[np.int64]  # [pictures, 2], height and width; 0 where unknown
    usable: npt.NDArray[np.bool_]  # [pictures]
    same_as: dict[int, int] = field(default_factory=dict)  # an entry for a file that another one has -> that one

    @classmethod
    def of(cls, images: list[dict[str, Any] | None]) -> Entries:
        """Read the entries of a file; None stands for what is no JSON object."""
        return cls(
            ids=[None if image is None else as_id(image["id"]) for image in images],
            names=[_name(image) for image in images],
            sizes=np.array([_size(image) for image in images], dtype=np.int64).reshape(-1, 2),
            usable=np.ones(len(images), dtype=bool),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def shown(self, numbers: Iterable[int]) -> list[Id]:
        """The ids as a user finds them in the file; `#<place>` for entries without one."""
        found = ((number, self.ids[number]) for number in numbers)
        return [f"#{number}" if value is None else value for number, value in found]

    def number_of(self) -> dict[Id, int]:
        """The place of each id's first entry."""
        first: dict[Id, int] = {}
        for number, value in enumerate(self.ids):
            if value is not None:
                first.setdefault(value, number)
        return first


def leads_outside(name: str) -> bool:
    """Tell whether a file_name points out of the folder of pictures."""
    parts = re.split(r"[\\/]", name)
    return ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", name) is not None or "\0" in name


def _name(image: dict[str, Any] | None) -> str:
    if image is None:
        return ""
    name, url = image["file_name"], image["coco_url"]
    if isinstance(name, str) and name:
        return name
    return name_in_url(url) if isinstance(url, str) else ""


def _size(image: dict[str, Any] | None) -> tuple[int, int]:
    """(height, width), both 0 where either is no whole number above 0."""
    sides = (0, 0) if image is None else (_whole(image["height"]), _whole(image["width"]))
    return sides if all(sides) else (0, 0)


def _whole(value: object) -> int:
    if isinstance(value, int | float) and 0 < value < 1e9 and float(value).is_integer():
        return int(value)
    return 0
