"""Classes: how many objects each has, in training and in validation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.findings import Findings, Severity
from maskrcnn_exp.data.audit.split import Split

__all__ = ["check_balance", "check_empty_pictures"]

Ints = npt.NDArray[np.int64]

_FEW: Final = 10  # objects
_UNEVEN: Final = 50.0  # most frequent class over least frequent one
_EXPECTED: Final = 10.0  # objects of a class in validation, from which on its share is compared
_DEVIATIONS: Final = 4.0  # standard deviations of a binomial
_FACTOR: Final = 2.0  # between the shares
_NAMED: Final = 5


def check_balance(train: Split, val: Split | None, findings: Findings) -> None:
    """Find classes without objects, with few, and with other shares in validation than in training."""
    in_train = _counts(train)
    in_val = np.zeros_like(in_train) if val is None else _counts(val)
    unused = (in_train == 0) & (in_val == 0)
    says = "No object has this class; the network still gets an output for it."
    _report(train, findings, "unused-category", "note", unused, says)
    if val is not None:
        unseen = (in_train == 0) & (in_val > 0)
        says = (
            f"Only validation has objects of this class; the network never sees one: {_named(train, in_val, unseen)}."
        )
        _report(train, findings, "class-only-in-val", "warning", unseen, says, "Divide the pictures anew.")
        says = "Validation has no object of this class: its AP will not be measured."
        _report(train, findings, "class-only-in-train", "note", (in_train > 0) & (in_val == 0), says)
        _compare_shares(train, in_train, in_val, findings)
    few = (in_train > 0) & (in_train < _FEW)
    says = f"Less than {_FEW} objects to learn the class from: {_named(train, in_train, few, fewest=True)}."
    _report(train, findings, "rare-class", "note", few, says)
    used = in_train[in_train > 0]
    if len(used) > 1 and used.max() > _UNEVEN * used.min():
        most, rarest = (_named(train, in_train, in_train > 0, fewest=fewest) for fewest in (False, True))
        says = (
            f"The most frequent class has {used.max() / used.min():.0f} times the objects of the least frequent one. "
            f"Most: {most}. Least: {rarest}."
        )
        least = in_train == used.min()
        _report(
            train, findings, "uneven-classes", "note", least, says, "Compare AP class by class, not the mean alone."
        )


def check_empty_pictures(split: Split, keep_empty: bool, findings: Findings) -> None:
    """Note pictures without an object."""
    has = np.zeros(len(split.usable), dtype=bool)
    has[split.objects.pictures[~split.objects.crowd]] = True
    empty = np.flatnonzero(split.usable & ~has)
    fate = (
        "They stay, as pictures of nothing but background." if keep_empty else "They are left out (keep_empty=false)."
    )
    says = f"Pictures without an object. {fate}"
    to_do = "dataset.keep_empty=false leaves them out, if their objects were never annotated." if keep_empty else ""
    ids = [split.picture_ids[number] for number in empty]
    findings.add("picture-without-objects", "note", "picture", ids, says, to_do, empty.tolist())


def _counts(split: Split) -> Ints:
    return np.bincount(split.instances().labels, minlength=len(split.class_ids))


def _compare_shares(split: Split, in_train: Ints, in_val: Ints, findings: Findings) -> None:
    both = in_train.sum() + in_val.sum()
    if in_train.sum() == 0 or in_val.sum() == 0:
        return
    share = (in_train + in_val) / both
    deviation = np.sqrt(share * (1 - share) * (1 / in_train.sum() + 1 / in_val.sum()))
    train_share, val_share = in_train / in_train.sum(), in_val / in_val.sum()
    apart = np.abs(train_share - val_share) > _DEVIATIONS * deviation
    apart &= np.maximum(train_share, val_share) > _FACTOR * np.minimum(train_share, val_share)
    apart &= (share * in_val.sum() >= _EXPECTED) & (in_train > 0) & (in_val > 0)
    worst = np.flatnonzero(apart)[:_NAMED]
    text = ", ".join(
        f"{split.class_names[label]} {100 * train_share[label]:.1f} % / {100 * val_share[label]:.1f} %"
        for label in worst
    )
    says = f"The class has another share of the objects in training than in validation: {text}."
    to_do = "Divide the pictures anew, by chance."
    _report(split, findings, "class-share-differs", "warning", apart, says, to_do)


def _report(
    split: Split,
    findings: Findings,
    check: str,
    severity: Severity,
    which: npt.NDArray[np.bool_],
    says: str,
    to_do: str = "",
) -> None:
    ids = [split.class_ids[label] for label in np.flatnonzero(which)]
    findings.add(check, severity, "category", ids, says, to_do)


def _named(split: Split, counts: Ints, which: npt.NDArray[np.bool_], fewest: bool = False) -> str:
    labels: Iterable[int] = np.flatnonzero(which).tolist()
    ordered = sorted(labels, key=lambda label: (counts[label] if fewest else -counts[label], label))
    more = "" if len(ordered) <= _NAMED else " …"
    return ", ".join(f"{split.class_names[label]} ({counts[label]})" for label in ordered[:_NAMED]) + more
