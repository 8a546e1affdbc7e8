"""What the contact sheet shows of a finding: the picture with the mask and the annotated box."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from maskrcnn_exp.data.audit.coco_audit import CocoAudit
from maskrcnn_exp.data.audit.contact_sheet import Drawn
from maskrcnn_exp.data.audit.split import Split
from maskrcnn_exp.data.ground_truth import Rle
from maskrcnn_exp.data.pictures import read_pixels
from maskrcnn_exp.data.rle import draw_runs, runs_of_counts
from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.errors import DataError

__all__ = ["CocoView", "DatasetView", "View"]

Pixels = npt.NDArray[np.uint8]


class View(Protocol):
    """Shows pictures and annotations by their numbers in the findings."""

    def picture(self, number: int) -> Drawn | None: ...
    def annotation(self, number: int) -> Drawn | None: ...


@dataclass(frozen=True)
class CocoView:
    """Of a COCO file."""

    audit: CocoAudit
    folder: Path | None

    def picture(self, number: int) -> Drawn | None:
        """The whole picture with the masks of all its objects; None where its size is not known."""
        height, width = self.audit.case.entries.sizes[number].tolist()
        if not (height and width):
            return None
        mask = _union(self.audit.split, number, height, width)
        return Drawn((width, height), self._pixels(number, width, height), mask, None, whole=True)

    def annotation(self, number: int) -> Drawn | None:
        """The object with its surroundings; None where it has no picture of known size."""
        image = int(self.audit.references.images[number])
        height, width = self.audit.case.entries.sizes[image].tolist() if image >= 0 else (0, 0)
        if not (height and width):
            return None
        objects = self.audit.split.objects
        found = np.flatnonzero(objects.numbers == number)
        mask = _decoded(self.audit.split.draw(objects.numbers[found])[0]) if len(found) else None
        x, y, w, h = self.audit.case.facts.annotations.boxes_xywh[number].tolist()
        return Drawn((width, height), self._pixels(image, width, height), mask, (x, y, x + w, y + h))

    def _pixels(self, image: int, width: int, height: int) -> Pixels | None:
        if self.folder is None:
            return None
        try:
            return read_pixels(self.folder / self.audit.case.entries.names[image], (width, height))
        except DataError:
            return None


@dataclass(frozen=True)
class DatasetView:
    """Of any other dataset."""

    dataset: InstanceDataset
    split: Split

    def picture(self, number: int) -> Drawn:
        height, width = self.split.sizes[number].tolist()
        mask = _union(self.split, number, height, width)
        return Drawn((width, height), self._pixels(number), mask, None, whole=True)

    def annotation(self, number: int) -> Drawn:
        """`number` is the object's place in the split."""
        (rle,) = self.split.draw(np.array([number]))
        picture = int(self.split.objects.pictures[number])
        height, width = self.split.sizes[picture].tolist()
        return Drawn((width, height), self._pixels(picture), _decoded(rle), None)

    def _pixels(self, number: int) -> Pixels | None:
        try:
            return self.dataset.load(number).image.permute(1, 2, 0).numpy()
        except DataError:
            return None


def _union(split: Split, picture: int, height: int, width: int) -> Pixels:
    """All masks of a picture, uint8 [height, width]."""
    own = split.objects.numbers[split.objects.pictures == picture]
    if len(own) == 0:
        return np.zeros((height, width), dtype=np.uint8)
    return _decoded(coco_mask.merge(split.draw(own)))


def _decoded(rle: Rle) -> Pixels:
    """uint8 [height, width]"""
    mask = np.zeros(rle["size"], dtype=np.uint8)
    draw_runs(runs_of_counts(rle["counts"]), mask)
    return mask
