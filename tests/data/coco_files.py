"""Small COCO files for the tests, written where a test wants them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["SQUARE", "annotation", "image", "write_coco", "write_picture"]

SQUARE = [[2.0, 3.0, 8.0, 3.0, 8.0, 7.0, 2.0, 7.0]]  # columns 2 … 7, rows 3 … 6: 24 pixels


def image(image_id: int | str, **changes: Any) -> dict[str, Any]:
    return {"id": image_id, "file_name": f"{image_id}.png", "width": 20, "height": 10, **changes}


def annotation(annotation_id: int | str, image_id: int | str, **changes: Any) -> dict[str, Any]:
    entry = {"id": annotation_id, "image_id": image_id, "category_id": 1, "segmentation": SQUARE, "iscrowd": 0}
    return {**entry, "bbox": [2, 3, 6, 4], "area": 24, **changes}


def write_coco(folder: Path, images: list[Any], annotations: list[Any] | None, **changes: Any) -> Path:
    """Write `annotations.json` into the folder, and a picture for each image that has none yet."""
    content: dict[str, Any] = {"images": images, "categories": [{"id": 1, "name": "thing"}]}
    if annotations is not None:
        content["annotations"] = annotations
    path = folder / "annotations.json"
    path.write_text(json.dumps({**content, **changes}))
    for entry in images:
        if isinstance(entry, dict) and not (folder / str(entry.get("file_name"))).exists():
            write_picture(folder / str(entry["file_name"]), entry.get("width") or 20, entry.get("height") or 10)
    return path


def write_picture(path: Path, width: int = 20, height: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
