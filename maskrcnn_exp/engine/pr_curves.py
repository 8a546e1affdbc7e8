"""Precision against recall by score threshold, read from the tables of COCO's evaluator.

The evaluator keeps, for each of 101 recalls, the precision there and the score at which it is reached. Turned round,
they say for each score threshold how much is found and how much of it is right: nothing is matched a second time.

Shape letters: R recalls, t thresholds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskrcnn_exp.data.target import GroundTruth
    from maskrcnn_exp.engine.coco_matching import Kind, Tables

__all__ = ["ALL", "THRESHOLDS", "PrCurve", "pr_curves"]

ALL: Final = "all classes"
THRESHOLDS: Final = np.linspace(0.0, 1.0, 101)
"""A detection counts from its score on."""

_CLASSES: Final = 10  # with a curve of their own: those with most objects
_IOUS: Final = {50: 0, 75: 5}  # in percent → index among the evaluator's ten
_RECALLS: Final = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)  # arrays have no one equality
class PrCurve:
    """What is found, and what of it is right, from each of THRESHOLDS on."""

    kind: Kind
    iou_percent: int  # a detection is right from this IoU with its object on
    name: str  # of the class, or ALL: the counts of all classes together
    objects: int
    true_positives: NDArray[np.float64]  # [t]
    false_positives: NDArray[np.float64]  # [t], not whole: the precision that they come from is COCO's interpolated one

    @property
    def precision(self) -> NDArray[np.float64]:
        """[t], 0..1; 0 where nothing is found."""
        found = self.true_positives + self.false_positives
        return np.divide(self.true_positives, found, out=np.zeros_like(found), where=found > 0)

    @property
    def recall(self) -> NDArray[np.float64]:
        """[t], 0..1, falling."""
        return self.true_positives / self.objects


def pr_curves(tables: Mapping[Kind, Tables], ground_truth: GroundTruth) -> tuple[PrCurve, ...]:
    """Return the curves of boxes and masks: all classes at IoU 0.50 and 0.75, the ten most frequent ones at 0.50.

    Objects of all sizes, and the largest number of detections per picture that was evaluated.
    """
    objects = _objects(ground_truth)
    names = {category["id"]: category["name"] for category in ground_truth["categories"]}
    frequent = sorted(objects, key=lambda label: (-objects[label], label))[:_CLASSES] if len(names) > 1 else []
    labels = sorted(names)  # the order of the tables
    curves = []
    for kind, table in tables.items():
        for iou_percent, iou in _IOUS.items():
            counts = {
                label: _counts(
                    table.precision[iou, :, column, 0, -1], table.scores[iou, :, column, 0, -1], objects[label]
                )
                for column, label in enumerate(labels)
                if label in objects
            }
            if not counts:
                continue
            together = PrCurve(kind, iou_percent, ALL, sum(objects.values()), *np.sum([*counts.values()], axis=0))
            shown = frequent if iou_percent == 50 else []
            own = (PrCurve(kind, iou_percent, names[label], objects[label], *counts[label]) for label in sorted(shown))
            curves += [together, *own]
    return tuple(curves)


def _objects(ground_truth: GroundTruth) -> dict[int, int]:
    """Return how many objects each class has; crowd regions are none."""
    return Counter(item["category_id"] for item in ground_truth["annotations"] if not item.get("iscrowd", 0))


def _counts(
    precision: NDArray[np.float64], scores: NDArray[np.float64], objects: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return true and false positives [t] of one class; `precision` and `scores` are [R].

    What is found after the last right detection of a class is in no table: no recall is reached by it.
    """
    reached = precision > 0  # COCO puts 0 where a recall is never reached
    rising = scores[reached][::-1]
    places = len(rising) - np.searchsorted(rising, THRESHOLDS.astype(np.float32))  # [t], recalls reached; as scores are
    # The first detection with which a recall of r is reached is the ⌈r · objects⌉-th that is right.
    hits = np.concatenate([[0.0], np.ceil(_RECALLS[reached] * objects - 1e-9)])[places]
    share = np.concatenate([[1.0], precision[reached]])[places]
    return hits, hits / share - hits
