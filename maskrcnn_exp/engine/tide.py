"""TIDE: how much AP50 each kind of error costs.

Every detection without an object, and every object without a detection, gets one kind. An error's cost is what AP50
would gain if all errors of its kind, and no others, were mended. The costs do not add up to what is missing.

    localisation    0.1 ≤ IoU ≤ 0.5 with an object of its class; mended: overlaps it
    classification  IoU ≥ 0.5 with an object of another class; mended: takes its class
    duplicate       IoU ≥ 0.5 with an object that a better-scored one has; mended: dropped
    background      IoU ≤ 0.1 with every object; mended: dropped
    both            anything else: a wrong place and a wrong class; mended: dropped
    missed          an object that no detection could be mended to; mended: not asked for

The first that fits counts. Of the detections that could be mended to one object only the best-scored one is, the others
are dropped. One in a crowd region is no error, but can be mended to an object beside it.

Source: Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors"; order and ties as in its
authors' tidecv 1.0.1, whose numbers the tests hold. (It is not used here: it needs OpenCV, pandas and seaborn.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from maskrcnn_exp.engine.greedy_matching import Overlaps, average_precision, match_greedily

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ERROR_TYPES", "ErrorType", "TideErrors", "tide_errors"]

ErrorType = Literal["classification", "localisation", "both", "duplicate", "background", "missed"]
ERROR_TYPES: Final[tuple[ErrorType, ...]] = get_args(ErrorType)

_FOREGROUND: Final = 0.5
_BACKGROUND: Final = 0.1
_NO_ERROR: Final = -1  # otherwise the index in ERROR_TYPES
_DROP: Final = 0  # in place of a label, since labels count from 1


@dataclass(frozen=True)
class TideErrors:
    """AP at IoU 0.5 and what each kind of error takes from it; -1 and nothing where there is no object."""

    ap50: float  # 0..1
    dap: dict[ErrorType, float]  # 0..1, ≥ 0
    counts: dict[ErrorType, int]


@dataclass(frozen=True, eq=False)
class _Table:
    """All pictures' detections [m] and objects [n], one behind the other."""

    labels: NDArray[np.int64]  # [m]
    scores: NDArray[np.float32]  # [m]
    correct: NDArray[np.bool_]  # [m]
    counted: NDArray[np.bool_]  # [m], False in crowd regions
    errors: NDArray[np.int64]  # [m]
    mended: NDArray[np.int64]  # [m], the label of a mended detection, or _DROP
    objects: NDArray[np.int64]  # [n], labels
    missed: NDArray[np.bool_]  # [n]


def tide_errors(pictures: Sequence[Overlaps]) -> TideErrors:
    """Return the cost and the number of errors of each kind, for boxes or masks as the overlaps are."""
    rows = [_table(picture) for picture in pictures]
    table = _Table(*(np.concatenate([getattr(row, name) for row in rows]) for name in _Table.__dataclass_fields__))
    if len(table.objects) == 0:
        return TideErrors(-1.0, {}, {})
    ap50 = _ap50(table)
    counts: dict[ErrorType, int] = {
        kind: int(np.count_nonzero(table.counted & (table.errors == code))) for code, kind in enumerate(ERROR_TYPES)
    }
    counts["missed"] = int(np.count_nonzero(table.missed))
    # Mending can cost a little, where a gap in the curve moves past a recall point: the authors call that 0.
    return TideErrors(ap50, {kind: max(0.0, _ap50(table, kind) - ap50) for kind in ERROR_TYPES}, counts)


def _table(picture: Overlaps) -> _Table:
    """Name the error of each detection of one picture."""
    same = picture.same_class
    matched = match_greedily(np.where(same, picture.ious, 0), _FOREGROUND)
    errors, targets = _name_errors(picture, same, correct=matched >= 0)
    used = np.zeros(len(picture.object_labels), dtype=np.bool_)
    used[matched[matched >= 0]] = True
    mended = np.full(len(errors), _DROP, dtype=np.int64)
    usable = np.zeros_like(used)
    for row in np.flatnonzero(targets >= 0):  # by falling score
        target = targets[row]
        if not used[target] and not usable[target]:
            usable[target] = True
            mended[row] = picture.object_labels[target]
    return _Table(
        labels=picture.found.labels,
        scores=picture.found.scores,
        correct=matched >= 0,
        counted=(matched >= 0) | (picture.in_crowd < _FOREGROUND),
        errors=errors,
        mended=mended,
        objects=picture.object_labels,
        missed=~used & ~usable,
    )


def _name_errors(
    picture: Overlaps, same: NDArray[np.bool_], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each detection's error, and the object that it could be mended to or -1, [k] both."""
    own, others = np.where(same, picture.ious, 0), np.where(same, 0, picture.ious)
    own_best, other_best = own.max(axis=1, initial=0), others.max(axis=1, initial=0)
    cases: list[tuple[NDArray[np.bool_], ErrorType]] = [
        ((own_best >= _BACKGROUND) & (own_best <= _FOREGROUND), "localisation"),
        (other_best >= _FOREGROUND, "classification"),
        (own_best >= _FOREGROUND, "duplicate"),
        (other_best <= _BACKGROUND, "background"),
        (np.ones_like(correct), "both"),
    ]
    codes = [ERROR_TYPES.index(kind) for _, kind in cases]
    errors = np.select([correct, *(case for case, _ in cases)], [_NO_ERROR, *codes])
    targets = np.full(len(errors), -1, dtype=np.int64)
    for kind, ious in (("localisation", own), ("classification", others)):
        rows = errors == ERROR_TYPES.index(kind)
        if rows.any():
            targets[rows] = ious[rows].argmax(axis=1)
    return errors.astype(np.int64), targets


def _ap50(table: _Table, mend: ErrorType | None = None) -> float:
    """Return AP50, with all errors of one kind mended.

    A class that is left with detections and no object counts 0, one that is left with neither does not count.
    """
    ours = np.zeros_like(table.correct) if mend is None else table.errors == ERROR_TYPES.index(mend)
    kept = (table.counted & ~ours) | (ours & (table.mended != _DROP))
    labels = np.where(ours, table.mended, table.labels)[kept]
    scores, correct = table.scores[kept], (table.correct | ours)[kept]
    objects = table.objects[~table.missed] if mend == "missed" else table.objects
    aps = []
    for label in np.unique(table.objects):
        own, own_objects = labels == label, int(np.count_nonzero(objects == label))
        if own_objects:
            aps.append(average_precision(scores[own], correct[own], own_objects))
        elif own.any():
            aps.append(0.0)
    return float(np.mean(aps)) if aps else 1.0  # nothing is left to find
