"""Pascal VOC's instance masks: SegmentationObject numbers the objects, SegmentationClass their classes.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html: palette PNGs, 0 is background, 255 void: a
line of some pixels around each object, and objects that were too hard to annotate. Void pixels belong to no object, in
training and in evaluation. Without SegmentationClass there is one class, `object`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from maskrcnn_exp.data.formats.mask_outline import outline_of_mask
from maskrcnn_exp.data.formats.recognise import recognise_folder
from maskrcnn_exp.data.formats.source import Source
from maskrcnn_exp.data.formats.voc_classes import VocClasses, read_classes
from maskrcnn_exp.data.formats.voc_palette import VOID, Numbers, read_numbers, voc_numbers
from maskrcnn_exp.data.picture_paths import is_picture
from maskrcnn_exp.data.rle import Unusable
from maskrcnn_exp.errors import DataError

__all__ = ["read_voc"]

_OBJECTS: Final = "SegmentationObject"
_CLASSES: Final = "SegmentationClass"
_PICTURES: Final = ("JPEGImages", "images")
_LISTS: Final = "ImageSets/Segmentation"
_VAL: Final = ("val.txt", "valid.txt", "validation.txt")


def read_voc(root: Path) -> list[Source]:
    """Return the training split, and the validation split where `ImageSets/Segmentation` lists one.

    Args:
        root: The folder with SegmentationObject/, or one that holds such a folder as VOC2012 or VOCdevkit/VOC2012.

    Raises:
        DataError: a folder is missing, or a list names files outside the folder.
    """
    folder = _find(root)
    pictures = next((name for name in _PICTURES if (folder / name).is_dir()), None)
    if pictures is None:
        raise DataError(f"{folder}: there is no folder of pictures. Expected JPEGImages/ beside {_OBJECTS}/.")
    with_classes = (folder / _CLASSES).is_dir()
    classes = read_classes(folder)
    if not with_classes:
        note = f"There is no {_CLASSES}/: all objects are of one class, `object`."
        classes = VocClasses({1: "object"}, classes.number_of_colour, note)
    named = {path.stem: f"{pictures}/{path.name}" for path in sorted((folder / pictures).iterdir()) if is_picture(path)}
    return [
        _source(_Masks(folder, names, named, classes, with_classes), pictures) for names in _splits(folder) if names
    ]


def _find(root: Path) -> Path:
    for folder in (root, *sorted(root.glob("VOC*"), reverse=True), *sorted(root.glob("VOCdevkit/VOC*"), reverse=True)):
        if (folder / _OBJECTS).is_dir():
            return folder
    seems = recognise_folder(root)
    raise DataError(
        f"dataset.root={root}: there is no folder {_OBJECTS}. Expected JPEGImages/, {_OBJECTS}/ and {_CLASSES}/, as "
        f"Pascal VOC has them.{f' It seems to be {seems}' if seems else ''}"
    )


def _splits(folder: Path) -> tuple[list[str], list[str]]:
    """The names of training and validation pictures; the latter empty where they are not listed."""
    lists = folder / _LISTS
    val = next((lists / name for name in _VAL if (lists / name).is_file()), None)
    if (lists / "train.txt").is_file() and val is not None:
        return _listed(lists / "train.txt"), _listed(val)
    for name in ("trainval.txt", "train.txt", "default.txt"):
        if (lists / name).is_file():
            return _listed(lists / name), []
    names = sorted(path.stem for path in (folder / _OBJECTS).iterdir() if path.suffix.lower() == ".png")
    if not names:
        raise DataError(f"{folder / _OBJECTS}: there is no mask. Expected a PNG per picture.")
    return names, []


def _listed(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    names = [line.split()[0] for line in lines if line.split()]
    for name in names:
        if "/" in name or "\\" in name or "\0" in name or name in ("..", "."):
            raise DataError(f"{file}: {name!r} is no plain name. Expected names as 2007_000032, one per line.")
    if not names:
        raise DataError(f"{file}: the list is empty. Expected names as 2007_000032, one per line.")
    return list(dict.fromkeys(names))


def _source(masks: _Masks, pictures: str) -> Source:
    ids = [masks.pictures.get(name, f"{pictures}/{name}.jpg") for name in masks.names]
    categories = [{"id": number, "name": name} for number, name in masks.classes.names.items()]
    notes = (masks.classes.note,) if masks.classes.note else ()
    images: list[dict[str, Any] | None] = [
        {"id": name, "file_name": name, "width": None, "height": None} for name in ids
    ]
    return Source(masks.folder, masks.folder, images, categories, masks, notes=notes)


@dataclass(frozen=True)
class _Masks:
    """The objects of all mask pictures, read anew each time."""

    folder: Path
    names: list[str]  # without suffix
    pictures: dict[str, str]  # name -> path of the picture
    classes: VocClasses
    with_classes: bool

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for name in self.names:
            if name not in self.pictures:
                continue
            mask = f"{_OBJECTS}/{name}.png"
            common = {"image_id": self.pictures[name], "iscrowd": 0}
            try:
                found = self._objects(name)
            except Unusable as reason:
                yield {"id": mask, **common, "category_id": next(iter(self.classes.names)), "segmentation": reason}
                continue
            for number, category, outline in found:
                yield {"id": f"{mask}:{number}", **common, "category_id": category, "segmentation": outline}

    def _objects(self, name: str) -> list[tuple[int, int, dict[str, Any] | Unusable]]:
        """(number, class, outline) of each object. Raises Unusable where a mask cannot be read."""
        objects = read_numbers(self.folder / _OBJECTS / f"{name}.png", voc_numbers())
        classes = None
        if self.with_classes:
            classes = read_numbers(self.folder / _CLASSES / f"{name}.png", self.classes.number_of_colour)
            if classes.shape != objects.shape:
                raise Unusable(f"{_OBJECTS} and {_CLASSES} differ in size")
        numbers = [number for number in np.unique(objects).tolist() if number not in (0, VOID)]
        return [(number, *self._object(objects == number, classes)) for number in numbers]

    def _object(self, mask: Any, classes: Numbers | None) -> tuple[int, dict[str, Any] | Unusable]:
        """The class that most of the pixels have, and the outline."""
        if classes is None:
            return 1, outline_of_mask(mask)
        counts = np.bincount(classes[mask], minlength=VOID + 1)
        counts[[0, VOID]] = 0
        if not counts.any():
            return next(iter(self.classes.names)), Unusable(f"object without a class in {_CLASSES}")
        return int(counts.argmax()), outline_of_mask(mask)
