"""Write an instances file as large as COCO's own, with realistic outlines, and pictures that share a few files.

Outlines repeat (a few thousand per picture size), so that the file is written in a minute; no reader gains by it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["CocoFolder", "CocoScale", "write_coco"]

_SIZES: Final = ((480, 640), (640, 480), (427, 640), (640, 427))  # height, width; COCO's four most frequent
_FILES: Final = 200  # JPEG files; all pictures are hard links to them, some 600 each
_OUTLINES: Final = 2_000  # per size
_CATEGORIES: Final = 80
_CROWD: Final = 0.012  # share of crowd regions, as in COCO
_PARTS: Final = (1, 1, 1, 1, 1, 1, 1, 1, 1, 3)  # polygon parts of an instance; one in ten is cut in pieces


@dataclass(frozen=True)
class CocoScale:
    """How much to write. The defaults are COCO 2017's training set in round numbers."""

    pictures: int = 118_000
    annotations: int = 860_000
    seed: int = 0


@dataclass(frozen=True)
class CocoFolder:
    annotations: Path
    images: Path


def write_coco(folder: Path, scale: CocoScale) -> CocoFolder:
    """Write `instances.json` and `images/` into `folder`, and return where they are."""
    rng = np.random.default_rng(scale.seed)
    written = CocoFolder(folder / "instances.json", folder / "images")
    written.images.mkdir(parents=True)
    ids = np.sort(rng.choice(600_000, scale.pictures, replace=False)) + 1
    sizes = np.arange(scale.pictures) % len(_SIZES)
    _write_pictures(written.images, ids, rng)
    with written.annotations.open("w") as file:
        file.write('{"info": {"year": 2017}, "licenses": [{"id": 1, "name": "none"}], "images": [')
        _write_list(file, (_picture(int(picture), _SIZES[size]) for picture, size in zip(ids, sizes, strict=True)))
        file.write('], "annotations": [')
        _write_list(file, _annotations(ids, sizes, scale.annotations, rng))
        file.write('], "categories": [')
        _write_list(file, (json.dumps({"id": n, "name": f"thing {n}"}) for n in range(1, _CATEGORIES + 1)))
        file.write("]}")
    return written


def _write_list(file: TextIO, entries: Iterator[str]) -> None:
    for number, entry in enumerate(entries):
        file.write(f", {entry}" if number else entry)


def _name(picture: int) -> str:
    return f"{picture:012d}.jpg"


def _picture(picture: int, size: tuple[int, int]) -> str:
    return json.dumps(
        {
            "license": 1,
            "file_name": _name(picture),
            "coco_url": f"http://images.cocodataset.org/train2017/{_name(picture)}",
            "height": size[0],
            "width": size[1],
            "date_captured": "2013-11-14 11:18:45",
            "flickr_url": f"http://farm9.staticflickr.com/8186/{picture:010d}_85ecd92f66_z.jpg",
            "id": picture,
        }
    )


def _write_pictures(folder: Path, ids: NDArray[np.int64], rng: np.random.Generator) -> None:
    for position, picture in enumerate(ids.tolist()):
        path = folder / _name(picture)
        if position < _FILES:
            _photograph(_SIZES[position % len(_SIZES)], rng).save(path, quality=90)
        else:
            os.link(folder / _name(int(ids[position % _FILES])), path)  # _FILES is a multiple of the sizes


def _photograph(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Smooth colours and grain: as slow to decode as a photograph."""
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC), dtype=np.float32)
    return Image.fromarray(np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8))


def _annotations(
    ids: NDArray[np.int64], sizes: NDArray[np.int64], count: int, rng: np.random.Generator
) -> Iterator[str]:
    """In no order of pictures, as in COCO's file; few pictures hold many, some none."""
    outlines = [[_polygons(*size, rng) for _ in range(_OUTLINES)] for size in _SIZES]
    crowds = [[_crowd(*size, rng) for _ in range(20)] for size in _SIZES]
    weights = rng.gamma(1.0, size=len(ids))
    chosen = rng.choice(len(ids), count, p=weights / weights.sum())
    crowd, pick = rng.random(count) < _CROWD, rng.integers(0, 2**31, count)
    categories = rng.integers(1, _CATEGORIES + 1, count)
    for number in range(count):
        position, is_crowd = int(chosen[number]), bool(crowd[number])
        shapes = (crowds if is_crowd else outlines)[sizes[position]]
        yield (
            f'{{{shapes[pick[number] % len(shapes)]}, "iscrowd": {int(is_crowd)}, "image_id": {ids[position]}, '
            f'"category_id": {categories[number]}, "id": {900_000_000_000 + number}}}'
        )


def _polygons(height: int, width: int, rng: np.random.Generator) -> str:
    """Wobbly circles of 25 to 60 corners, two decimals, cut at the picture's edges."""
    parts = [_outline(height, width, rng) for _ in range(_PARTS[rng.integers(len(_PARTS))])]
    low, high = np.min([p.min(0) for p in parts], axis=0), np.max([p.max(0) for p in parts], axis=0)
    box = [round(float(value), 2) for value in (*low, *(high - low))]
    text = json.dumps([[round(value, 2) for value in part.ravel().tolist()] for part in parts])
    return f'"segmentation": {text}, "area": {box[2] * box[3] * 0.7:.4f}, "bbox": {json.dumps(box)}'


def _outline(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """float64 [corners, 2], x and y in pixels."""
    angles = np.linspace(0, 2 * np.pi, rng.integers(25, 61), endpoint=False)
    wobble = 1 + sum(rng.uniform(0, 0.2) * np.cos(k * angles + rng.uniform(0, 6.3)) for k in (2, 3, 5))
    radius = np.exp(rng.normal(3.4, 0.8)) + 4  # pixels: most instances are small, some fill the picture
    centre = rng.uniform(0.1, 0.9, 2) * (width, height)
    points = centre + (radius * wobble)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.clip(points, 0, (width, height))


def _crowd(height: int, width: int, rng: np.random.Generator) -> str:
    """Run lengths of a region that is torn like a crowd, some hundred runs."""
    cuts = np.sort(rng.choice(height * width - 1, rng.integers(200, 1200), replace=False)) + 1
    runs = np.diff(cuts, prepend=0, append=height * width).tolist()
    segmentation = json.dumps({"counts": runs, "size": [height, width]})
    return f'"segmentation": {segmentation}, "area": {sum(runs[1::2])}, "bbox": [0, 0, {width}, {height}]'
