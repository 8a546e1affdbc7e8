"""Real COCO data, written in other formats the way their own tools write it."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from maskrcnn_exp.data.coco import CocoDataset
from tests.shared_data import SHARED

__all__ = ["Annotated", "Mask", "annotated", "write_labelme", "write_voc", "write_yolo"]

Mask = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Annotated:
    """A picture with its objects; crowd regions, which no other format knows, are left out."""

    picture: Path
    size: tuple[int, int]  # height, width
    labels: list[int]
    outlines: list[Any]  # polygon parts, or an RLE
    masks: list[Mask]  # [h, w]


def annotated(name: str, most: int) -> tuple[list[Annotated], list[str]]:
    """The first pictures of a set in ../shared/data, those without objects first, and the names of its classes."""
    folder = SHARED / name
    file = folder / "annotations/instances_train.json"
    data = CocoDataset.open(file, folder / "images")
    outlines = {entry["id"]: entry["segmentation"] for entry in json.loads(file.read_text())["annotations"]}
    order = sorted(range(len(data)), key=lambda index: (len(data.annotation_ids(index)) > 0, index))
    negatives = [index for index in order if not data.annotation_ids(index)][:2]
    chosen = [*negatives, *(index for index in order if data.annotation_ids(index))][:most]
    return [_one(data, index, outlines) for index in chosen], [category.name for category in data.categories]


def _one(data: CocoDataset, index: int, outlines: dict[Any, Any]) -> Annotated:
    sample = data.load(index)
    picture = data.images / str(data.pictures.file_names[data.positions[index]])
    _, height, width = sample.image.shape
    own = [outlines[one] for one in data.annotation_ids(index)]
    return Annotated(
        picture, (height, width), sample.target["labels"].tolist(), own, list(sample.target["masks"].numpy())
    )


def write_yolo(root: Path, pictures: list[Annotated], names: list[str], split: str = "train") -> Path:
    """As Ultralytics' converter does: shares of six digits, the parts of an object joined by lines there and back."""
    for one in pictures:
        _copy(one.picture, root / "images" / split)
        label = root / "labels" / split / f"{one.picture.stem}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        height, width = one.size
        lines = [
            " ".join(
                [str(number - 1), *(f"{v / (height if n % 2 else width):.6f}" for n, v in enumerate(_joined(parts)))]
            )
            for number, parts in zip(one.labels, one.outlines, strict=True)
        ]
        label.write_text("".join(f"{line}\n" for line in lines))
    content = {"path": "/content/datasets/mine", "train": "images/train", "names": dict(enumerate(names))}
    if (root / "images/val").is_dir():
        content["val"] = "images/val"
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root


def _joined(parts: list[list[float]]) -> list[float]:
    start = parts[0][:2]
    there_and_back = [value for part in parts[1:] for value in (*part, *part[:2], *start)]
    return [*parts[0], *(start if there_and_back else []), *there_and_back]


def write_labelme(root: Path, pictures: list[Annotated], names: list[str]) -> Path:
    """Polygons as polygons, with a `group_id` where there are several, and RLEs as labelme's masks."""
    for one in pictures:
        _copy(one.picture, root)
        objects = enumerate(zip(one.labels, one.outlines, one.masks, strict=True), start=1)
        shapes = [shape for number, own in objects for shape in _shapes(number, names, *own)]
        height, width = one.size
        content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": one.picture.name, "imageData": None}
        content |= {"imageHeight": height, "imageWidth": width}
        (root / f"{one.picture.stem}.json").write_text(json.dumps(content))
    return root


def _shapes(number: int, names: list[str], label: int, outline: Any, mask: Mask) -> Iterator[dict[str, Any]]:
    common = {"label": names[label - 1], "description": "", "flags": {}}
    if isinstance(outline, list):
        group = number if len(outline) > 1 else None
        for part in outline:
            points = np.array(part).reshape(-1, 2).tolist()
            yield {**common, "points": points, "group_id": group, "shape_type": "polygon", "mask": None}
        return
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = (int(value) for value in (rows[0], rows[-1], columns[0], columns[-1]))
    file = io.BytesIO()
    Image.fromarray(mask[top : bottom + 1, left : right + 1].astype(bool)).save(file, format="PNG")
    encoded = base64.b64encode(file.getvalue()).decode()
    corners = [[left, top], [right, bottom]]
    yield {**common, "points": corners, "group_id": None, "shape_type": "mask", "mask": encoded}


def write_voc(root: Path, pictures: list[Annotated], names: list[str], split: str = "train") -> Path:
    """Palette pictures; the void line of a pixel around each object is drawn first, so that no object loses a pixel."""
    for one in pictures:
        _copy(one.picture, root / "JPEGImages")
        objects = np.zeros(one.size, dtype=np.uint8)
        for mask in one.masks:
            objects[_grown(mask)] = 255
        classes = objects.copy()
        for number, (label, mask) in enumerate(zip(one.labels, one.masks, strict=True), start=1):
            objects[mask > 0], classes[mask > 0] = number, label
        for folder, pixels in (("SegmentationObject", objects), ("SegmentationClass", classes)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(pixels).convert("P")
            picture.putdata(pixels.ravel().tolist())
            picture.putpalette(list(range(256)) * 3)
            picture.save(root / folder / f"{one.picture.stem}.png")
    (root / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
    (root / f"ImageSets/Segmentation/{split}.txt").write_text("".join(f"{one.picture.stem}\n" for one in pictures))
    (root / "class_names.txt").write_text("\n".join(["_background_", *names]))
    return root


def _grown(mask: Mask) -> Any:
    padded = np.pad(mask, 1) > 0
    return padded[2:, 1:-1] | padded[:-2, 1:-1] | padded[1:-1, 2:] | padded[1:-1, :-2]


def _copy(picture: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(picture, folder / picture.name)
