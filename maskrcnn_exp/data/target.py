"""What a picture and its instances look like between the dataset and the model.

Shape letters: n instances, h × w pixels of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BoxFit", "Category", "DatasetSummary", "GroundTruth", "InstanceDataset", "Sample", "Target"]


class Target(TypedDict):
    """The instances of one picture, as torchvision's MaskRCNN takes them; n = 0 is a negative picture."""

    boxes: Tensor  # float32 [n, 4], x1 y1 x2 y2 in pixels, the extent of the mask: x2 > x1, y2 > y1
    labels: Tensor  # int64 [n], 1 … number of categories; 0 is the background
    masks: Tensor  # uint8 [n, h, w], 0 or 1


@dataclass(frozen=True)
class Sample:
    """One picture with its instances."""

    image: Tensor  # uint8 [3, h, w], RGB
    target: Target
    index: int  # position in the dataset, 0 … len - 1
    seed: int = 0  # what all randomness spent on this sample follows from, 0 … 2**63 - 1


@dataclass(frozen=True)
class Category:
    """One class of objects. `id` is the annotation file's own; the model's label is its position + 1."""

    id: int | str
    name: str


GroundTruth = dict[str, Any]
"""A COCO instances dictionary (`images`, `annotations`, `categories`) as the evaluator takes it.

Image ids are positions in the dataset (ints), annotation ids count from 1, category ids are the model's
labels, `segmentation` is a compressed RLE with bytes counts, crowd annotations are kept with `iscrowd=1`.
"""


@dataclass(frozen=True)
class BoxFit:
    """How annotated boxes lie to the extents of their masks, in a sample of the instances."""

    looked_at: int
    off: float  # share that does not fit: IoU below 0.85 and an edge off by more than 1.5 pixels
    beside: float  # share whose IoU is below 0.5
    median_iou: float
    median_size: float  # area of the extent over the box's: below 1 where masks are too small for their boxes


@dataclass(frozen=True)
class DatasetSummary:
    """What was found when a dataset was opened. Nothing is left out without standing here."""

    images: int  # usable pictures, negatives included
    instances: int  # usable instances, crowd regions not included
    negatives: int  # pictures without an instance
    crowd: int  # crowd regions: ignored in training, ignore regions in evaluation
    max_objects: int  # most instances in one picture
    left_out: dict[str, list[str]] = field(default_factory=dict)  # reason -> the ids left out for it
    notes: tuple[str, ...] = ()  # what was decided for the user, one sentence each
    annotations_left_out: int = 0  # of the ids above, those of annotations; the others are of pictures
    boxes: BoxFit | None = None  # None where boxes are measured on the masks


class InstanceDataset(Protocol):
    """Pictures with instance masks. Reading a sample has no side effect and no randomness."""

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes, in the order of the model's labels 1, 2, …"""

    def __len__(self) -> int:
        """Number of usable pictures."""

    def load(self, index: int) -> Sample:
        """Read picture `index` with its instances. Raises DataError that names the file."""

    def image_id(self, index: int) -> int | str:
        """The picture's own id or name, as a user finds it in the annotation file."""

    def annotation_ids(self, index: int) -> list[int | str]:
        """The ids of the instances that `load(index)` returns, in the same order."""

    def ground_truth(self) -> GroundTruth:
        """All annotations for the evaluator, crowd regions included."""

    def summary(self) -> DatasetSummary:
        """Counts for the start of a run, with everything that was left out."""
