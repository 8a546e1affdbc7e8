"""Data sets as COCO folders, right and corrupted: pictures are written once, corrupted copies share them.

Shapes are drawn with the run's own seed, so that each seed has its own pictures. Nuclei are those of ../shared/data.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.doctor.corruptions import CORRUPTIONS, Coco, encoded
from benchmarks.doctor.faults import Case
from maskrcnn_exp.data.shapes import VAL_START, ShapesDataset
from maskrcnn_exp.record.atomic import write_json_atomic

__all__ = ["NUCLEI", "folder_for"]

NUCLEI: Final = Path(__file__).parents[3] / "shared/data/nuclei"

_SHAPES: Final = {"train": 120, "val": 40}  # pictures
_SHAPES_SIDE: Final = 96  # pixels
_RADIUS: Final = (0.12, 0.25)  # of an object, as a share of the side
_NUCLEI: Final = {"train": 60, "val": 16}  # pictures: every second or so of those with a side of 256
_NUCLEI_SIDE: Final = 256


def folder_for(case: Case, dataset: str, seed: int, root: Path) -> Path:
    """Return the COCO folder that a run trains on; made where it is not there yet."""
    plain = root / f"{dataset}_{seed}"
    if not (plain / "annotations/instances_val.json").is_file():
        (_draw_shapes if dataset == "shapes" else _take_nuclei)(plain, seed)
    if not case.corruption and case.pictures is None:
        return plain
    return _corrupted(case, plain, seed)


def _corrupted(case: Case, plain: Path, seed: int) -> Path:
    folder = plain.with_name(f"{plain.name}_{case.name}")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "images").exists():
        (folder / "images").symlink_to(plain / "images")
    for split in ("train", "val"):
        coco = json.loads(_annotations(plain, split).read_text())
        # A run's corruption is a function of its names and seed alone, in whichever order runs are recorded.
        rng = np.random.default_rng([seed, zlib.crc32(f"{case.name} {split}".encode())])
        if case.corruption and (split == "train" or case.splits == "both"):
            coco = CORRUPTIONS[case.corruption](coco, rng)
        if case.pictures is not None and split == "train":
            coco = _first_pictures(coco, case.pictures)
        write_json_atomic(_annotations(folder, split), coco)
    return folder


def _annotations(folder: Path, split: str) -> Path:
    path = folder / f"annotations/instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _first_pictures(coco: Coco, count: int) -> Coco:
    images = coco["images"][:count]
    kept = {image["id"] for image in images}
    annotations = [annotation for annotation in coco["annotations"] if annotation["image_id"] in kept]
    return {**coco, "images": images, "annotations": annotations}


def _draw_shapes(folder: Path, seed: int) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for split, start in (("train", 0), ("val", VAL_START)):
        low, high = _RADIUS
        shapes = ShapesDataset(seed, start, _SHAPES[split], image_size=_SHAPES_SIDE, min_radius=low, max_radius=high)
        images: list[Coco] = []
        annotations: list[Coco] = []
        for index in range(len(shapes)):
            sample = shapes.load(index)
            name = f"{start + index}.png"
            Image.fromarray(sample.image.permute(1, 2, 0).numpy()).save(folder / "images" / name)
            images.append({"id": start + index, "file_name": name, "width": _SHAPES_SIDE, "height": _SHAPES_SIDE})
            target = sample.target
            for mask, label in zip(target["masks"].numpy(), target["labels"].tolist(), strict=True):
                annotations.append(_annotation(len(annotations) + 1, start + index, label, mask.astype(bool)))
        categories = [{"id": category.id, "name": category.name} for category in shapes.categories]
        coco = {"images": images, "annotations": annotations, "categories": categories}
        write_json_atomic(_annotations(folder, split), coco)


def _annotation(identity: int, image_id: int, label: int, mask: NDArray[np.bool_]) -> Coco:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return {
        "id": identity,
        "image_id": image_id,
        "category_id": label,
        "segmentation": encoded(mask),
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "area": int(mask.sum()),
        "iscrowd": 0,
    }


def _take_nuclei(folder: Path, seed: int) -> None:
    """Take small pictures, others for each seed: training is short here."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "images").exists():
        (folder / "images").symlink_to(NUCLEI / "images")
    for split, count in _NUCLEI.items():
        coco = json.loads((NUCLEI / f"annotations/instances_{split}.json").read_text())
        small = [image for image in coco["images"] if max(image["width"], image["height"]) <= _NUCLEI_SIDE]
        rng = np.random.default_rng([seed, zlib.crc32(split.encode())])
        chosen = [small[place] for place in sorted(rng.permutation(len(small))[:count].tolist())]
        kept = {image["id"] for image in chosen}
        annotations = [annotation for annotation in coco["annotations"] if annotation["image_id"] in kept]
        write_json_atomic(_annotations(folder, split), {**coco, "images": chosen, "annotations": annotations})
