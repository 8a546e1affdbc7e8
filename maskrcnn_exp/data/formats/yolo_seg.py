"""YOLO's polygons: one text file per picture, one line per object.

https://docs.ultralytics.com/datasets/segment: a class number from 0, then x y x y … as shares of width and height of
the picture as viewers show it. An empty file, or none, is a picture of nothing, as in Ultralytics. A line of a class
and four numbers is a box, which has no mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maskrcnn_exp.data.formats.recognise import recognise_folder
from maskrcnn_exp.data.formats.source import Source
from maskrcnn_exp.data.formats.yolo_places import YoloPlaces, find_yaml, label_of, yolo_places
from maskrcnn_exp.data.pictures import picture_size
from maskrcnn_exp.data.rle import Unusable
from maskrcnn_exp.errors import DataError

__all__ = ["read_yolo_seg"]

_BOX: Final = (4, 5)  # numbers after the class: a box, and one with its score
_FAR_OUTSIDE: Final = 1.0  # widths or heights beyond the picture: not shares, but pixels


def read_yolo_seg(root: Path) -> list[Source]:
    """Return the training split, and the validation split where the dataset has one.

    Args:
        root: The folder with `data.yaml`, or that file.

    Raises:
        DataError: the dataset as a whole cannot be used.
    """
    if root.is_dir() and find_yaml(root) is None and (seems := recognise_folder(root)):
        raise DataError(f"{root}: there is no data.yaml. It seems to be {seems}")
    places = yolo_places(root)
    return [_split(places, pictures) for pictures in (places.train, places.val) if pictures is not None]


def _split(places: YoloPlaces, pictures: list[str]) -> Source:
    unlabelled = [name for name in pictures if not (places.root / label_of(name)).is_file()]
    if len(unlabelled) == len(pictures):
        raise DataError(
            f"{places.file}: not one of {len(pictures)} pictures has a label file. Looked for "
            f"{places.root / label_of(pictures[0])}: the folder `images` in the path becomes `labels`."
        )
    note = f"{len(unlabelled)} pictures have no label file and count as pictures of nothing, "
    images = [_image(places.root, name) for name in pictures]
    return Source(
        place=places.file,
        folder=places.root,
        images=[*images],
        categories=[{"id": number + 1, "name": name} for number, name in places.names.items()],
        annotations=_Labels(places.root, images, frozenset(places.names)),
        notes=(f"{note}{unlabelled[0]} first.",) if unlabelled else (),
    )


def _image(root: Path, name: str) -> dict[str, Any]:
    try:
        width, height = picture_size(root / name)
    except DataError:
        return {"id": name, "file_name": name, "width": None, "height": None}
    return {"id": name, "file_name": name, "width": width, "height": height}


@dataclass(frozen=True)
class _Labels:
    """The objects of all label files, read anew each time."""

    root: Path
    images: list[dict[str, Any]]
    classes: frozenset[int]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for image in self.images:
            label = label_of(image["id"])
            if not (self.root / label).is_file():
                continue
            try:
                lines = (self.root / label).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, ValueError):
                outline = Unusable("label file is not text")
                yield {
                    "id": label,
                    "image_id": image["id"],
                    "category_id": min(self.classes) + 1,
                    "segmentation": outline,
                }
                continue
            for number, line in enumerate(lines, start=1):
                if words := line.split():
                    yield {"id": f"{label}:{number}", "image_id": image["id"], **_object(words, image, self.classes)}


def _object(words: list[str], image: dict[str, Any], classes: frozenset[int]) -> dict[str, Any]:
    unusable = {"category_id": min(classes) + 1, "iscrowd": 0}  # any class, so that its own reason is told
    try:
        category, *shares = map(float, words)
    except ValueError:
        return {**unusable, "segmentation": Unusable("line with something else than numbers")}
    if category not in classes:
        return {**unusable, "segmentation": Unusable("class that data.yaml does not name")}
    # From 1, as 0 is the background of many tools.
    return {"category_id": int(category) + 1, "segmentation": _outline(shares, image), "iscrowd": 0}


def _outline(shares: list[float], image: dict[str, Any]) -> list[list[float]] | Unusable | None:
    """One polygon in pixels; None for a box. What pycocotools cannot draw is found by the COCO reader."""
    if len(shares) in _BOX:
        return None
    if not all(map(math.isfinite, shares)):
        return Unusable("line with numbers that are not finite")
    if any(abs(share - 0.5) > 0.5 + _FAR_OUTSIDE for share in shares):
        return Unusable("corners far outside 0 … 1, perhaps pixels")
    width, height = image["width"] or 0, image["height"] or 0
    return [[share * (height if place % 2 else width) for place, share in enumerate(shares)]]
