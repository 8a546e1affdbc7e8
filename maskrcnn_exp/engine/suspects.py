"""Pictures whose masks are unlike the rest: where a trained mask head and the annotation disagree far more than usual.

In such a picture either the network is wrong, or the annotation. The second is what a look at it is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from maskrcnn_exp.engine.validation import PictureMasks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LEAST_PICTURES",
    "LEAST_RATIO",
    "LIMIT",
    "SOURCE",
    "Reason",
    "Suspect",
    "SuspectObject",
    "Suspects",
    "find_suspect_objects",
    "find_suspects",
]

Reason = Literal["loss_mask", "mask_iou"]

SOURCE: Final = "Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers: the modified z-score"
LIMIT: Final = 3.5
"""Modified z-score from which a value is an outlier; the source's own."""

LEAST_RATIO: Final = 1.5
"""And so many times the median at least: in a set of equal pictures every small difference is far out."""

LEAST_PICTURES: Final = 20
"""Fewer have no spread to speak of: the median deviation of 20 normal values is off by 20 %."""

_TRAINED: Final = 0.5  # median mask IoU below which the mask head itself is what is unlike the annotations
_SMALLEST: Final = 1e-6  # of a loss or of 1 - IoU before its logarithm is taken
_NORMAL: Final = 0.6745  # median absolute deviation of a normal distribution over its standard deviation


@dataclass(frozen=True)
class Suspect:
    """One picture that stands out."""

    picture: PictureMasks
    score: float  # the larger modified z-score of the two
    because: tuple[Reason, ...]


@dataclass(frozen=True)
class Suspects:
    """What was found among the pictures of a set, the worst first."""

    pictures: int  # with objects
    median_loss_mask: float  # NaN without pictures
    median_mask_iou: float
    found: tuple[Suspect, ...]
    why_not: str = ""  # why nothing could be judged; empty where it was


def find_suspects(pictures: Sequence[PictureMasks]) -> Suspects:
    """Return the pictures whose loss_mask or mask IoU is an outlier.

    z = 0.6745 · (x - median) / MAD with x = ln(loss_mask), and the same with x = ln(1 - mask IoU); a picture is suspect
    where z > LIMIT and the value is LEAST_RATIO times the median's. Logarithms, because both are skewed towards bad
    pictures in healthy sets too.
    """
    losses = np.array([picture.loss_mask for picture in pictures])
    misses = np.array([1 - picture.mask_iou for picture in pictures])
    if not len(pictures):
        return Suspects(0, float("nan"), float("nan"), (), "no picture with objects")
    loss, iou = float(np.median(losses)), 1 - float(np.median(misses))
    if len(pictures) < LEAST_PICTURES:
        return Suspects(len(pictures), loss, iou, (), f"fewer than {LEAST_PICTURES} pictures with objects")
    if iou < _TRAINED:
        return Suspects(len(pictures), loss, iou, (), f"the median mask IoU is {iou:.2f}: the mask head is not trained")
    scores: dict[Reason, NDArray[np.float64]] = {"loss_mask": _scores(losses), "mask_iou": _scores(misses)}
    found = [
        Suspect(picture, max(float(of[place]) for of in scores.values()), because)
        for place, picture in enumerate(pictures)
        if (because := tuple(reason for reason, of in scores.items() if of[place] > LIMIT))
    ]
    found.sort(key=lambda suspect: (-suspect.score, suspect.picture.index))
    return Suspects(len(pictures), loss, iou, tuple(found))


@dataclass(frozen=True)
class SuspectObject:
    """One annotation that stands out."""

    index: int  # of the picture, its position in the dataset
    place: int  # among the picture's objects, from 0
    mask_iou: float  # between the annotation and what the mask head gives in its box
    score: float


def find_suspect_objects(mask_ious: Mapping[int, Sequence[float]]) -> tuple[SuspectObject, ...]:
    """Return the annotations whose mask IoU is an outlier among all, by the same rule, the worst first.

    Where pictures hold many objects, one wrong mask among them hardly shows in the picture's own numbers.

    Args:
        mask_ious: By the picture's position, one for each of its objects.
    """
    places = [(index, place) for index, ious in sorted(mask_ious.items()) for place in range(len(ious))]
    ious = np.array([mask_ious[index][place] for index, place in places])
    if len(ious) < LEAST_PICTURES or float(np.median(ious)) < _TRAINED:
        return ()
    scores = _scores(1 - ious)
    found = [
        SuspectObject(*places[number], float(ious[number]), float(scores[number]))
        for number in np.flatnonzero(scores > LIMIT)
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, one.index, one.place)))


def _scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the modified z-score of each logarithm; 0 where a value is less than LEAST_RATIO times the median's."""
    logs = np.log(np.maximum(values, _SMALLEST))
    above = logs - np.median(logs)
    spread = max(float(np.median(np.abs(above))), _SMALLEST)
    return np.where(above >= np.log(LEAST_RATIO), _NORMAL * above / spread, 0.0)
