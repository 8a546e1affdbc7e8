"""The `images` of a COCO file as arrays, checked against the folder of pictures."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.coco_columns import Id, as_id, id_array
from maskrcnn_exp.data.coco_json import CocoFile
from maskrcnn_exp.data.pictures import picture_size
from maskrcnn_exp.errors import DataError

__all__ = ["MOST_PIXELS", "Pictures", "read_pictures"]

_HEADERS_UP_TO: Final = 20_000  # pictures; opening that many takes seconds
MOST_PIXELS: Final = 178_956_970  # where PIL refuses a picture as a decompression bomb


@dataclass(frozen=True)
class Pictures:
    """The usable pictures, in order of their ids as pycocotools walks them."""

    ids: npt.NDArray[Any]  # int64 [pictures], or a string array where any id is a string
    file_names: npt.NDArray[np.str_]  # [pictures], relative to the folder
    heights: npt.NDArray[np.int64]  # [pictures]
    widths: npt.NDArray[np.int64]  # [pictures]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: npt.NDArray[np.int64]) -> Pictures:
        return Pictures(
            self.ids[positions], self.file_names[positions], self.heights[positions], self.widths[positions]
        )


@dataclass(frozen=True)
class _Entry:
    id: Id
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class _Folder:
    """Where the pictures lie, and how closely to look at them."""

    path: Path
    check_files: bool  # each must be there
    check_headers: bool  # and have the annotated size


def read_pictures(
    file: CocoFile, folder: Path, *, check_files: bool
) -> tuple[Pictures, dict[Id, int], dict[str, list[str]], tuple[str, ...]]:
    """Return the usable pictures, the position of each id (-1 for one left out), {reason: ids left out}, and notes.

    With `check_files` each file must be there; in sets of up to 20,000 pictures its header must have the annotated
    size too.

    Raises:
        DataError: two pictures share an id, a file name leads out of the folder, or no picture is usable.
    """
    if check_files and not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of pictures. Check the path.")
    headers = check_files and len(file.images) <= _HEADERS_UP_TO
    entries: list[_Entry] = []
    left_out: dict[str, list[str]] = {}
    position_of: dict[Id, int] = {}
    for number, image in enumerate(file.images):
        found = _entry(image, file.path, _Folder(folder, check_files, headers))
        image_id = None if image is None else as_id(image["id"])
        if isinstance(found, _Entry):
            entries.append(found)
        else:
            left_out.setdefault(found, []).append(f"#{number}" if image_id is None else str(image_id))
        if image_id is not None:
            _check_new(image_id, position_of, file.path)
            position_of[image_id] = -1
    if not entries:
        raise _no_picture(file, folder, left_out)
    entries.sort(key=lambda entry: (isinstance(entry.id, str), entry.id))
    position_of |= {entry.id: position for position, entry in enumerate(entries)}
    notes = [f"More than {_HEADERS_UP_TO} pictures: only their presence was checked, not their sizes."]
    return _as_arrays(entries), position_of, left_out, tuple(notes if check_files and not headers else ())


def _entry(image: dict[str, Any] | None, file: Path, folder: _Folder) -> _Entry | str:
    """Return the picture, or the reason why it cannot be used."""
    image_id = None if image is None else as_id(image["id"])
    if image is None or image_id is None:
        return "picture without an id"
    name = image["file_name"]
    if not isinstance(name, str) or not name:
        return "picture without a file_name"
    _check_inside(name, image_id, file)
    if image.get("from_url") and not os.path.isfile(os.path.join(folder.path, name)):
        name = name.rpartition("/")[2]  # the folder of the pictures itself, instead of that of train2017/ and val2017/
    path = os.path.join(folder.path, name)  # a Path for each of COCO's pictures would take a second
    if folder.check_files and not os.path.isfile(path):
        return "picture file missing"
    size = _whole(image["width"]), _whole(image["height"])
    if folder.check_headers or (folder.check_files and 0 in size):
        found = _size_or_reason(Path(path), None if 0 in size else size)
        if isinstance(found, str):
            return found
        size = found
    if 0 in size:
        return "picture without width and height"
    if size[0] * size[1] > MOST_PIXELS:
        return "picture with too many pixels"
    return _Entry(image_id, name, *size)


def _check_new(image_id: Id, position_of: dict[Id, int], file: Path) -> None:
    if image_id in position_of:
        raise DataError(
            f"{file}: two entries of `images` have the id {image_id!r}, so their annotations cannot be told apart. "
            "Give every picture its own id."
        )


def _size_or_reason(path: Path, annotated: tuple[int, int] | None) -> tuple[int, int] | str:
    """Return (width, height), or the reason why the picture cannot be used."""
    try:
        return picture_size(path, annotated)
    except DataError:
        if annotated is None or isinstance(_size_or_reason(path, None), str):
            return "picture does not open"
        return "picture of another size than annotated"


def _whole(value: object) -> int:
    """A whole number above 0, else 0."""
    if isinstance(value, int | float) and 0 < value < 1e9 and float(value).is_integer():
        return int(value)
    return 0


def _check_inside(name: str, image_id: Id, file: Path) -> None:
    parts = re.split(r"[\\/]", name)
    if ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise DataError(
            f"{file}: file_name {name!r} of picture {image_id!r} leads out of the folder of pictures. "
            "Expected a path inside it, as 'batch_1/000006.jpg'. Correct the file name."
        )


def _as_arrays(entries: list[_Entry]) -> Pictures:
    return Pictures(
        id_array([entry.id for entry in entries]),
        np.array([entry.file_name for entry in entries]),
        np.array([entry.height for entry in entries], dtype=np.int64),
        np.array([entry.width for entry in entries], dtype=np.int64),
    )


def _no_picture(file: CocoFile, folder: Path, left_out: dict[str, list[str]]) -> DataError:
    reasons = "; ".join(f"{reason}: {len(ids)}, id {ids[0]} first" for reason, ids in left_out.items())
    names = [image["file_name"] for image in file.images if image is not None and image["file_name"]]
    looked_for = f" Looked for {folder / str(names[0])}." if names else ""
    return DataError(
        f"{file.path}: none of its {len(file.images)} pictures is usable ({reasons}).{looked_for} "
        "Expected the pictures of this annotation file in that folder. Check the folder of pictures."
    )
