"""labelme: a folder with one JSON file per picture, https://github.com/wkentaro/labelme.

Every JSON file below the folder counts; with `train/` and `val/` inside, these are the splits. A picture without a JSON
file was not annotated and is left alone; one whose `shapes` are empty is a picture of nothing.
"""

from __future__ import annotations

import json
import posixpath
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maskrcnn_exp.data.formats.labelme_shapes import outline_of_shapes
from maskrcnn_exp.data.formats.recognise import recognise_folder
from maskrcnn_exp.data.formats.source import Source
from maskrcnn_exp.data.picture_paths import is_picture
from maskrcnn_exp.data.pictures import picture_size
from maskrcnn_exp.errors import DataError

__all__ = ["read_labelme"]

_VAL_FOLDERS: Final = ("val", "valid", "validation")


@dataclass
class _Split:
    """What was read of one folder."""

    folder: Path
    images: list[dict[str, Any]] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)  # `category_id` is the label for now
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    rectangles: int = 0
    file_of: dict[str, str] = field(default_factory=dict)  # picture -> JSON file


def read_labelme(root: Path) -> list[Source]:
    """Return the training split, and the validation split where the folder has one. Both have the same categories.

    Raises:
        DataError: there is no labelme file, a picture lies outside the folder, or two files are for one picture.
    """
    if not root.is_dir():
        raise DataError(f"dataset.root={root} must be the folder of labelme's JSON files. Check the path.")
    splits = [_read(root, folder) for folder in _split_folders(root)]
    if not splits[0].images:
        raise _nothing(root, splits[0])
    names = _names(root, splits)
    id_of = {name: number for number, name in enumerate(names, start=1)}
    categories = [{"id": number, "name": name} for name, number in id_of.items()]
    return [_source(split, root, categories, id_of) for split in splits]


def _split_folders(root: Path) -> list[Path]:
    val = next((root / name for name in _VAL_FOLDERS if (root / name).is_dir()), None)
    if val is None or not (root / "train").is_dir():
        return [root]
    return [root / "train", val]


def _read(root: Path, folder: Path) -> _Split:
    split = _Split(folder)
    for file in sorted(folder.rglob("*.json")):
        name = file.relative_to(root).as_posix()
        try:
            content = json.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            split.left_out["file is not JSON"].append(name)
            continue
        if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
            split.left_out["JSON file is not labelme's"].append(name)
            continue
        image = _image(content, root, name)
        if (other := split.file_of.setdefault(image["id"], name)) != name:
            raise DataError(f"{root}: {other} and {name} are both for {image['id']}. Join them, or take one away.")
        split.images.append(image)
        split.objects += _objects(content["shapes"], name, image, split)
    return split


def _image(content: dict[str, Any], root: Path, name: str) -> dict[str, Any]:
    picture = _picture(content.get("imagePath"), root, name)
    width, height = content.get("imageWidth"), content.get("imageHeight")
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        try:
            width, height = picture_size(root / picture)
        except DataError:
            width = height = None
    return {"id": picture, "file_name": picture, "width": width, "height": height}


def _picture(named: object, root: Path, name: str) -> str:
    """The path of the picture from the root: as the file says, or beside the file where it moved there."""
    folder = posixpath.dirname(name)
    said = named.replace("\\", "/") if isinstance(named, str) and named and "\0" not in named else ""
    path = posixpath.normpath(posixpath.join(folder, said)) if said else ""
    inside = bool(said) and not path.startswith(("../", "/")) and path != ".." and ":" not in path.split("/")[0]
    if inside and (root / path).is_file():
        return path
    stem = posixpath.splitext(name)[0]
    beside = [posixpath.join(folder, posixpath.basename(said))] if said else []
    beside += [file.relative_to(root).as_posix() for file in sorted((root / folder).glob(f"{_plain(stem)}.*"))]
    for candidate in beside:
        if is_picture(root / candidate):
            return candidate
    if said and not inside:
        raise DataError(
            f"{root / name}: imagePath {named!r} leads out of {root}, and no such picture lies beside the file. "
            "Put it beside its picture, or name the folder that holds both: dataset.root=FOLDER."
        )
    return path or stem


def _plain(stem: str) -> str:
    """A file's name as a pattern that means only it."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in posixpath.basename(stem))


def _objects(shapes: list[Any], name: str, image: dict[str, Any], split: _Split) -> list[dict[str, Any]]:
    parts: dict[tuple[Any, ...], list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for number, entry in enumerate(shapes, start=1):
        shape = entry if isinstance(entry, dict) else {}
        group = shape.get("group_id")
        key = (number,) if group is None else (str(shape.get("label")), str(group))
        parts[key].append((number, shape))
        split.rectangles += shape.get("shape_type") == "rectangle"
    size = image["height"] or 0, image["width"] or 0
    return [
        {
            "id": f"{name}:{own[0][0]}",
            "image_id": image["id"],
            "category_id": own[0][1].get("label"),
            "segmentation": outline_of_shapes([shape for _, shape in own], size),
            "iscrowd": 0,
        }
        for own in parts.values()
    ]


def _names(root: Path, splits: list[_Split]) -> list[str]:
    """The labels that occur, in the order of labelme's `labels.txt` where there is one, else of the alphabet."""
    found = {label for split in splits for one in split.objects if isinstance(label := one["category_id"], str)}
    listed: list[str] = []
    if (root / "labels.txt").is_file():
        lines = (root / "labels.txt").read_text(encoding="utf-8-sig", errors="replace").splitlines()
        listed = [line.strip() for line in lines if line.strip() not in ("", "__ignore__", "_background_")]
    names = list(dict.fromkeys([*listed, *sorted(found)]))
    if not names:
        raise DataError(f"{root}: not one shape has a label, so there is no class to learn. Is it the right folder?")
    return names


def _source(split: _Split, root: Path, categories: list[dict[str, Any]], id_of: dict[str, int]) -> Source:
    objects = [{**one, "category_id": id_of.get(str(one["category_id"]))} for one in split.objects]
    annotated = {image["id"] for image in split.images}
    pictures = (path.relative_to(root).as_posix() for path in split.folder.rglob("*") if is_picture(path))
    without = sorted(picture for picture in pictures if picture not in annotated)
    notes = []
    if without:
        notes.append(f"{len(without)} pictures have no JSON file and are not used, {without[0]} first.")
    if split.rectangles:
        notes.append(f"{split.rectangles} rectangles count as masks of their whole area.")
    return Source(split.folder, root, [*split.images], categories, objects, dict(split.left_out), tuple(notes))


def _nothing(root: Path, split: _Split) -> DataError:
    reasons = Counter({reason: len(names) for reason, names in split.left_out.items()})
    found = "; ".join(f"{reason}: {count}" for reason, count in reasons.items()) or "no JSON file"
    seems = recognise_folder(root)
    return DataError(
        f"{split.folder}: there is no labelme file ({found}). Expected a JSON file per picture, with `shapes` and "
        f"`imagePath`.{f' It seems to be {seems}' if seems else ''}"
    )
