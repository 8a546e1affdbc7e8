"""What `predict` writes: overlays and label files picture by picture, and two COCO files for all of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from maskrcnn_exp.data.contours import polygons_of
from maskrcnn_exp.data.drawing import overlay
from maskrcnn_exp.data.label_files import Outlined, labelme, yolo_lines
from maskrcnn_exp.data.rle import mask_of_counts
from maskrcnn_exp.engine.coco_ap import Detections
from maskrcnn_exp.record.atomic import write_atomic, write_json_atomic, write_text_atomic

__all__ = ["PredictionFiles"]

_QUALITY: Final = 90  # of JPEG


@dataclass
class PredictionFiles:
    """Takes pictures one by one; `close` writes the COCO files."""

    output: Path
    categories: Sequence[tuple[int | str, str]]  # id and name, in the order of the labels
    score: float  # least, of what is drawn and outlined; the COCO results hold everything
    formats: frozenset[str]  # of coco, yolo, labelme
    overlays: bool
    images: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def results_file(self) -> Path:
        return self.output / "predictions.json"

    @property
    def images_file(self) -> Path:
        return self.output / "images.json"

    def add(self, path: Path, relative: Path, pixels: NDArray[np.uint8], found: Detections) -> None:
        """Write what belongs to one picture.

        Args:
            path: The picture's file.
            relative: What its files are called after.
            pixels: uint8 [h, w, 3], RGB.
        """
        height, width = pixels.shape[:2]
        number = found.image_index
        self.images.append({"id": number, "file_name": relative.as_posix(), "height": height, "width": width})
        self.results += self._results(found)
        sure = found.take(np.flatnonzero(found.scores >= self.score))
        masks = [mask_of_counts(rle["counts"], height, width) for rle in sure.rles]
        if self.overlays:
            self._overlay(relative, pixels, sure, masks)
        if self.formats & {"yolo", "labelme"}:
            self._label_files(path, relative, sure, masks)

    def close(self) -> None:
        """Write `images.json`, a COCO file without annotations, and `predictions.json`, results that refer to it."""
        self.output.mkdir(parents=True, exist_ok=True)
        categories = [{"id": key, "name": name} for key, name in self.categories]
        info = {"description": "what predictions.json is about"}  # pycocotools before 2.0.11 reads none without it
        content = {"info": info, "images": self.images, "categories": categories, "annotations": []}
        write_json_atomic(self.images_file, content)
        write_json_atomic(self.results_file, self.results)

    def _results(self, found: Detections) -> list[dict[str, Any]]:
        """Return COCO's results: box as x y width height, mask as compressed RLE in text."""
        results = []
        for box, label, score, rle in zip(found.boxes_xyxy, found.labels, found.scores, found.rles, strict=True):
            x1, y1, x2, y2 = (round(float(value), 2) for value in box)
            results.append(
                {
                    "image_id": found.image_index,
                    "category_id": self.categories[int(label) - 1][0],
                    "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                    "segmentation": {"size": rle["size"], "counts": rle["counts"].decode("ascii")},
                    "score": round(float(score), 5),
                }
            )
        return results

    def _overlay(
        self, relative: Path, pixels: NDArray[np.uint8], sure: Detections, masks: Sequence[NDArray[np.uint8]]
    ) -> None:
        words = [f"{self._name(label)} {score:.2f}" for label, score in zip(sure.labels, sure.scores, strict=True)]
        drawn = overlay(pixels, masks, sure.boxes_xyxy, words)
        place = self._place("overlays", relative.with_name(f"{relative.name}.jpg"))
        write_atomic(place, lambda file: drawn.save(file, "JPEG", quality=_QUALITY))

    def _label_files(self, path: Path, relative: Path, sure: Detections, masks: Sequence[NDArray[np.uint8]]) -> None:
        size = self.images[-1]["width"], self.images[-1]["height"]
        objects = [
            Outlined(int(label), float(score), polygons_of(mask))
            for label, score, mask in zip(sure.labels, sure.scores, masks, strict=True)
        ]
        if "yolo" in self.formats:
            text = "".join(f"{line}\n" for line in yolo_lines(objects, *size))
            write_text_atomic(self._place("yolo", relative.with_suffix(".txt")), text)
        if "labelme" in self.formats:
            place = self._place("labelme", relative.with_suffix(".json"))
            picture = os.path.relpath(path.resolve(), place.parent.resolve())
            names = [name for _, name in self.categories]
            write_json_atomic(place, labelme(objects, names, picture, *size))

    def _name(self, label: int) -> str:
        return self.categories[int(label) - 1][1]

    def _place(self, folder: str, relative: Path) -> Path:
        place = self.output / folder / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        return place
