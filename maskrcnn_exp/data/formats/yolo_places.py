"""Where a YOLO dataset's pictures and labels lie: its `data.yaml`, as Ultralytics reads it.

https://docs.ultralytics.com/datasets/segment: `path` (optional), `train` and `val` (a folder, a text file that lists
pictures, or a list of these), `names` (a list, or a dictionary by class number). The labels of `…/images/a.jpg` are in
`…/labels/a.txt`.

A `data.yaml` from a stranger cannot lead out of its folder: its places count only inside it. Those that it names for
another machine (`path: /content/data`, Roboflow's `../train/images`) are looked for inside, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from maskrcnn_exp.data.picture_paths import is_picture
from maskrcnn_exp.errors import DataError

__all__ = ["YoloPlaces", "find_yaml", "label_of", "yolo_places"]

_NOT_A_DATASET: Final = "Expected `names` with the classes and `train` with the folder of pictures, as Ultralytics has."


@dataclass(frozen=True)
class YoloPlaces:
    """A dataset as its `data.yaml` describes it."""

    file: Path  # the data.yaml
    root: Path  # its folder
    names: dict[int, str]  # of the classes, by their number in the labels
    train: list[str]  # pictures, as paths from `root`
    val: list[str] | None  # None where no validation pictures are named


def yolo_places(root: Path) -> YoloPlaces:
    """Find the pictures of a dataset.

    Args:
        root: The folder with the `data.yaml`, or that file.

    Raises:
        DataError: there is no such file, it is no dataset, or what it names is not in its folder.
    """
    file = root if root.is_file() else find_yaml(root)
    if file is None:
        raise DataError(
            f"{root}: there is no data.yaml. {_NOT_A_DATASET} Write one:\n"
            "  train: images/train\n  val: images/val\n  names: [cat, dog]"
        )
    content = _parsed(file)
    if "kpt_shape" in content:
        raise DataError(f"{file}: a YOLO dataset of keypoints (`kpt_shape`) has no masks. Mask R-CNN learns masks.")
    return YoloPlaces(
        file, file.parent, _names(content.get("names"), file), _listed(content, "train", file), _val(content, file)
    )


def find_yaml(folder: Path) -> Path | None:
    """Return the folder's `data.yaml`, or its only YAML file that describes a dataset; None where there is none."""
    for name in ("data.yaml", "dataset.yaml", "data.yml"):
        if (folder / name).is_file():
            return folder / name
    files = [file for file in sorted(folder.glob("*.y*ml"))[:20] if _describes(file)] if folder.is_dir() else []
    return files[0] if len(files) == 1 else None


def label_of(picture: str) -> str:
    """Return the label file of a picture: the last folder `images` becomes `labels`, the suffix `.txt`."""
    path = PurePosixPath(picture).with_suffix(".txt")
    parts = list(path.parts)
    for number in range(len(parts) - 2, -1, -1):
        if parts[number] == "images":
            parts[number] = "labels"
            break
    return str(PurePosixPath(*parts))


def _describes(file: Path) -> bool:
    try:
        return {"names", "train"} <= set(_parsed(file))
    except DataError:
        return False


def _parsed(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{file}: this is not YAML ({' '.join(str(error).split())[:200]}). {_NOT_A_DATASET}") from error
    if not isinstance(content, dict):
        raise DataError(f"{file}: this holds no keys. {_NOT_A_DATASET}")
    return content


def _names(names: object, file: Path) -> dict[int, str]:
    if isinstance(names, list) and names:
        return {number: str(name) for number, name in enumerate(names)}
    if isinstance(names, dict) and names and all(str(number).isdecimal() for number in names):
        return {int(number): str(name) for number, name in sorted(names.items(), key=lambda item: int(item[0]))}
    raise DataError(f"{file}: names={names!r:.100} names no classes. Expected a list, or names by class number from 0.")


def _val(content: dict[str, Any], file: Path) -> list[str] | None:
    """Roboflow writes `val` for a folder that some exports do not have."""
    if not content.get("val") or (isinstance(content["val"], str) and _place(content, content["val"], file) is None):
        return None
    return _listed(content, "val", file)


def _listed(content: dict[str, Any], key: str, file: Path) -> list[str]:
    """All pictures of a split, in order of their paths."""
    given = content.get(key)
    places = given if isinstance(given, list) else [given]
    pictures: set[str] = set()
    for place in places:
        if not isinstance(place, str) or not place:
            raise DataError(f"{file}: {key}={given!r:.100} names no pictures. {_NOT_A_DATASET}")
        found = _place(content, place, file)
        if found is None:
            raise DataError(f"{file}: {key}: {place} is not there, or not below {file.parent}. Correct the path.")
        paths = _lines(found, file) if found.is_file() else [path for path in found.rglob("*") if is_picture(path)]
        pictures |= {path.relative_to(file.parent).as_posix() for path in paths}
    if not pictures:
        raise DataError(f"{file}: {key}: {given} holds no pictures. Correct the path.")
    return sorted(pictures)


def _place(content: dict[str, Any], place: str, file: Path) -> Path | None:
    """The folder or list inside the dataset's folder that `place` means; None where there is none."""
    base, root = str(content.get("path") or ""), file.parent
    without_up = place.removeprefix("./")
    while without_up.startswith("../"):
        without_up = without_up[3:]
    for candidate in (root / base / place, root / place, root / without_up):
        inside = _inside(candidate, root)
        if inside is not None and inside.exists():
            return inside
    return None


def _inside(path: Path, root: Path) -> Path | None:
    """The path with its `..` worked out, where it lies in the folder; links are followed, as for any picture."""
    if path.is_absolute() and not root.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    parts: list[str] = []
    for part in path.parts[len(root.parts) :] if path.parts[: len(root.parts)] == root.parts else ("..",):
        if part == ".." and not parts:
            return None
        parts = parts[:-1] if part == ".." else [*parts, part]
    return root.joinpath(*parts)


def _lines(listing: Path, file: Path) -> list[Path]:
    """The pictures of a text file; paths are from its folder, or from the dataset's."""
    try:
        lines = [line.strip() for line in listing.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{listing}: the list of pictures is not text. Correct {file}.") from error
    found = []
    for line in filter(None, lines):
        near, far = (_inside(base / line, file.parent) for base in (listing.parent, file.parent))
        path = near if near is not None and near.is_file() else far
        if path is None:
            raise DataError(f"{listing}: {line!r} leads out of {file.parent}. Expected a path inside it.")
        found.append(path)
    return found
