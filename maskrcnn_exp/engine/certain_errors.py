"""What is wrong with the detections that the model is most sure of: evidence about annotations, at every evaluation.

Of all detections of the validation set the best-scored ones are looked at, half as many as there are objects. A model
that learned from right annotations is right in nearly all of them, also while its AP is low. One that learned from
wrong labels names the class wrongly, and where objects have no annotation it finds them all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from maskrcnn_exp.engine.greedy_matching import find_overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maskrcnn_exp.data.target import GroundTruth
    from maskrcnn_exp.engine.coco_ap import Detections
    from maskrcnn_exp.engine.greedy_matching import Overlaps

__all__ = ["certain_errors"]

_LOOKED_AT: Final = 0.5  # of the number of objects
_ON_OBJECT: Final = 0.5  # IoU; both as in TIDE
_BESIDE: Final = 0.1


def certain_errors(ground_truth: GroundTruth, detections: Sequence[Detections]) -> dict[str, float]:
    """Return the share of the most certain detections, 0..1, by what is wrong with their boxes.

    background: IoU at most 0.1 with every object, and outside of crowd regions; classification: IoU of at least 0.5
    with an object, and the class of none such; localisation: IoU between the two.

    Returns:
        The three shares; empty where there are no objects or no detections.
    """
    objects = sum(not annotation["iscrowd"] for annotation in ground_truth["annotations"])
    certain = _most_certain(detections, max(1, round(_LOOKED_AT * objects)))
    if not objects or not certain:
        return {}
    pictures = [one for one in find_overlaps(ground_truth, certain, "bbox") if len(one.found.labels)]
    kinds = [np.concatenate(kind) for kind in zip(*map(_kinds, pictures), strict=True)]
    names = ("background", "classification", "localisation")
    return {name: float(kind.mean()) for name, kind in zip(names, kinds, strict=True)}


def _most_certain(detections: Sequence[Detections], count: int) -> list[Detections]:
    """Return the `count` best-scored detections of all pictures; all that tie with the last one are among them."""
    scores = np.concatenate([one.scores for one in detections]) if detections else np.zeros(0, np.float32)
    if not len(scores):
        return []
    least = np.partition(scores, -count)[-count] if count < len(scores) else scores.min()
    return [one.take(np.flatnonzero(one.scores >= least)) for one in detections]


def _kinds(picture: Overlaps) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which detections [k] are of background, of a wrong class, in a wrong place."""
    best = picture.ious.max(axis=1, initial=0)
    own = np.where(picture.same_class, picture.ious, 0).max(axis=1, initial=0)
    ignored = picture.in_crowd >= _ON_OBJECT
    background = (best <= _BESIDE) & ~ignored
    classification = (best >= _ON_OBJECT) & (own < _ON_OBJECT) & ~ignored
    localisation = (best > _BESIDE) & (best < _ON_OBJECT) & ~ignored
    return background, classification, localisation
