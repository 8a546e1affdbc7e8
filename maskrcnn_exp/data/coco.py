"""Any COCO instances file with its folder of pictures.

Everything is checked when the dataset is opened. What cannot be used is left out and listed in the summary; what
spoils the whole file raises one DataError.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from maskrcnn_exp.data.box_fit import LOOKED_AT, box_fit
from maskrcnn_exp.data.coco_columns import as_id
from maskrcnn_exp.data.coco_complaints import notes_on, nothing_usable
from maskrcnn_exp.data.coco_index import CocoIndex, index_annotations
from maskrcnn_exp.data.coco_json import CocoFile, read_coco_file
from maskrcnn_exp.data.coco_measures import with_sound_measures
from maskrcnn_exp.data.coco_pictures import Pictures, read_pictures
from maskrcnn_exp.data.ground_truth import Rle, category_entries
from maskrcnn_exp.data.masks import boxes_from_masks
from maskrcnn_exp.data.pictures import read_rgb
from maskrcnn_exp.data.rle import draw_runs, runs_of_counts
from maskrcnn_exp.data.split import split_by_name
from maskrcnn_exp.data.target import Category, DatasetSummary, GroundTruth, Sample
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.heap import arrays_outside_heap

__all__ = ["CocoDataset"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CocoDataset:
    """Pictures in order of their ids; `subset` and `split` are views that share the arrays.

    Labels follow the categories in order of their ids, numbers before strings. Crowd regions are no targets, but stand
    in the ground truth.
    """

    images: Path
    pictures: Pictures
    index: CocoIndex
    positions: Ints  # [len], the pictures of this view
    categories: tuple[Category, ...]
    left_out: dict[str, list[str]]
    notes: tuple[str, ...]
    annotations_left_out: int = 0  # of the ids in `left_out`

    @classmethod
    @arrays_outside_heap()
    def open(
        cls, annotations: Path, images: Path, keep_empty: bool = True, *, check_pictures: bool = True
    ) -> CocoDataset:
        """Read and check a COCO instances file; arguments and errors as of `of`."""
        return cls.of(read_coco_file(annotations), images, keep_empty, check_pictures=check_pictures)

    @classmethod
    def of(cls, file: CocoFile, images: Path, keep_empty: bool = True, *, check_pictures: bool = True) -> CocoDataset:
        """Check what stands in a file.

        Args:
            file: A COCO file, or another format as one.
            images: The folder that its `file_name`s start from.
            keep_empty: Keep pictures without an instance as negatives. A picture that has annotations, none of them
                usable, is left out in any case: it would teach that its objects are background.
            check_pictures: Look at the picture files. False is for looking at annotations alone.

        Raises:
            DataError: the file or the folder as a whole cannot be used.
        """
        categories = _categories(file)
        pictures, position_of, left_out, notes = read_pictures(file, images, check_files=check_pictures)
        label_of = {category.id: label for label, category in enumerate(categories, start=1)}
        annotations = with_sound_measures(file.annotations)
        index, lost_all, bad_annotations = index_annotations(annotations, pictures, position_of, label_of)
        if len(annotations) > 0 == len(index.ids):
            raise nothing_usable(file, bad_annotations)
        wanted = ~lost_all if keep_empty else index.counts()[0] > 0
        if not wanted.any():
            raise DataError(f"{file.path}: no picture has an instance, and keep_empty=false leaves none over.")
        for reason, bad in {
            "picture whose annotations are all unusable": lost_all,
            "picture without an instance, and keep_empty is off": ~wanted & ~lost_all,
        }.items():
            if bad.any():
                left_out[reason] = [str(value) for value in pictures.ids[bad].tolist()]
        return cls(
            images=images,
            pictures=pictures,
            index=index,
            positions=np.flatnonzero(wanted),
            categories=categories,
            left_out={**file.left_out, **left_out, **bad_annotations},
            notes=(*file.notes, *notes_on(annotations, categories), *notes),
            annotations_left_out=sum(map(len, bad_annotations.values())),
        )

    def subset(self, indices: Ints) -> CocoDataset:
        """Return a view of some pictures, in the given order. What was left out at opening is not repeated."""
        return replace(self, positions=self.positions[indices], left_out={}, notes=(), annotations_left_out=0)

    def split(self, val_fraction: float) -> tuple[CocoDataset, CocoDataset]:
        """Return (training, validation), divided by a hash of the file names.

        What was left out at opening stays with the first.
        """
        train, val = split_by_name(self.pictures.file_names[self.positions].tolist(), val_fraction)
        return replace(self, positions=self.positions[train]), self.subset(val)

    def __len__(self) -> int:
        return len(self.positions)

    def load(self, index: int) -> Sample:
        """Read picture and masks: image uint8 [3, h, w], masks uint8 [n, h, w]."""
        position = self._position(index)
        height, width = self._size(position)
        image = read_rgb(self.images / str(self.pictures.file_names[position]), (width, height))
        annotations = self.index.instances_of_picture(position)
        masks = _decode(self._rles(position, annotations), height, width)
        labels = torch.from_numpy(self.index.labels[annotations])
        return Sample(image, {"boxes": boxes_from_masks(masks), "labels": labels, "masks": masks}, index)

    def image_id(self, index: int) -> int | str:
        """The id in the annotation file."""
        value: int | str = self.pictures.ids[self._position(index)].item()
        return value

    def annotation_ids(self, index: int) -> list[int | str]:
        """The ids in the annotation file; `#<place in the file>` for annotations without one."""
        ids: list[int | str] = self.index.ids[self.index.instances_of_picture(self._position(index))].tolist()
        return ids

    def ground_truth(self) -> GroundTruth:
        """`area` and `bbox` are the file's own, since COCO's numbers depend on them; measured where it has none."""
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for image_id, position in enumerate(self.positions.tolist()):
            height, width = self._size(position)
            name = str(self.pictures.file_names[position])
            images.append({"id": image_id, "file_name": name, "height": height, "width": width})
            of_picture = self.index.of_picture(position)
            for annotation, rle in zip(of_picture.tolist(), self._rles(position, of_picture), strict=True):
                entry = {"id": len(annotations) + 1, "image_id": image_id, **self._entry(annotation, rle)}
                annotations.append(entry)
        return {"images": images, "annotations": annotations, "categories": category_entries(self.categories)}

    def summary(self) -> DatasetSummary:
        instances, crowd = (counts[self.positions] for counts in self.index.counts())
        return DatasetSummary(
            images=len(self.positions),
            instances=int(instances.sum()),
            negatives=int((instances == 0).sum()),
            crowd=int(crowd.sum()),
            max_objects=int(instances.max()),
            left_out=self.left_out,
            notes=self.notes,
            annotations_left_out=self.annotations_left_out,
            boxes=box_fit(self._box_pairs(max(1, math.ceil(int(instances.sum()) / LOOKED_AT)))),
        )

    def _box_pairs(self, every: int) -> Iterator[tuple[Floats, Floats]]:
        """Yield annotated boxes and the extents of the masks, x y w h, of every n-th instance, by picture."""
        passed = 0
        for position in self.positions.tolist():
            annotations = self.index.instances_of_picture(position)
            first, passed = -passed % every, passed + len(annotations)
            if len(chosen := annotations[first::every]):
                yield self.index.boxes_xywh[chosen], coco_mask.toBbox(self._rles(position, chosen))

    def _position(self, index: int) -> int:
        if not 0 <= index < len(self.positions):
            raise DataError(f"{self.images}: there is no picture {index}. Expected 0 … {len(self.positions) - 1}.")
        return int(self.positions[index])

    def _size(self, position: int) -> tuple[int, int]:
        return int(self.pictures.heights[position]), int(self.pictures.widths[position])

    def _rles(self, position: int, annotations: Ints) -> list[Rle]:
        return self.index.segments.rles(self.index.rows[annotations].tolist(), *self._size(position))

    def _entry(self, annotation: int, rle: Rle) -> dict[str, Any]:
        area, box = float(self.index.areas[annotation]), self.index.boxes_xywh[annotation]
        return {
            "category_id": int(self.index.labels[annotation]),
            "iscrowd": int(self.index.crowd[annotation]),
            "area": float(coco_mask.area(rle)) if np.isnan(area) else area,
            "bbox": (coco_mask.toBbox(rle) if np.isnan(box).any() else box).tolist(),
            "segmentation": rle,
        }


def _decode(rles: list[Rle], height: int, width: int) -> Tensor:
    """uint8 [n, h, w]"""
    masks = np.zeros((len(rles), height, width), dtype=np.uint8)
    for mask, rle in zip(masks, rles, strict=True):
        draw_runs(runs_of_counts(rle["counts"]), mask)
    return torch.from_numpy(masks)


def _categories(file: CocoFile) -> tuple[Category, ...]:
    """In order of the ids, numbers before strings. Raises DataError where an id is absent or occurs twice."""
    categories = []
    for entry in file.categories:
        category_id = as_id(entry.get("id")) if isinstance(entry, dict) else None
        if category_id is None:
            raise DataError(
                f"{file.path}: a category without an id: {entry!r:.200}. "
                "Expected a whole number or a string. Give it one."
            )
        categories.append(Category(category_id, str(entry.get("name", category_id))))
    ids = Counter(category.id for category in categories)
    twice = [category for category in categories if ids[category.id] > 1]
    if twice:
        names = ", ".join(repr(category.name) for category in twice)
        raise DataError(f"{file.path}: the categories {names} share an id. Give every category its own id.")
    return tuple(sorted(categories, key=lambda category: (isinstance(category.id, str), category.id)))
