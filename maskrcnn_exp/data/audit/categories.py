"""The `categories` of a COCO file, and of two files against each other."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.audit.findings import Findings, Severity
from maskrcnn_exp.data.coco_columns import Id, as_id
from maskrcnn_exp.data.coco_complaints import STUFF, of_stuff

__all__ = ["CategoryList", "check_categories", "check_same_categories", "read_categories"]


@dataclass(frozen=True)
class CategoryList:
    """Categories in the order of the model's labels: by id, numbers before strings."""

    entries: tuple[dict[str, Any], ...]
    ids: tuple[Id, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, entries: list[dict[str, Any]]) -> CategoryList:
        """Sort entries that have an id each."""
        by_id = [(value, entry) for entry in entries if (value := as_id(entry.get("id"))) is not None]
        by_id.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]))
        return cls(
            entries=tuple(entry for _, entry in by_id),
            ids=tuple(value for value, _ in by_id),
            names=tuple(str(entry.get("name", value)) for value, entry in by_id),
        )

    def label_of(self) -> dict[Id, int]:
        """Position of each id; the first where ids are shared."""
        return {value: label for label, value in reversed(list(enumerate(self.ids)))}


def read_categories(case: Case) -> CategoryList:
    """Check the entries for themselves; those without an id, and second ones, are left out."""
    entries: list[dict[str, Any]] = []
    changes: list[str] = []
    for number, entry in enumerate(case.facts.categories):
        value = as_id(entry.get("id")) if isinstance(entry, dict) else None
        if value is None:
            changes.append(f"category #{number}: left out, it has no id")
        elif entry in entries:
            changes.append(f"category {value}: its second entry, which is the same, left out")
        else:
            entries.append(entry)
    found = CategoryList.of(entries)
    if changes:
        case.repairs.categories = entries
        case.repairs.category_changes += changes
    _report_ids(case, found)
    return found


def _report_ids(case: Case, found: CategoryList) -> None:
    raw = case.facts.categories
    ids = [as_id(entry.get("id")) if isinstance(entry, dict) else None for entry in raw]
    without: list[Id] = [f"#{number}" for number, value in enumerate(ids) if value is None]
    says = "A category without an id: training refuses the file."
    case.findings.add("category-without-id", "error", "category", without, says, "fix=PATH leaves it out.")
    shared = sorted({value for value in ids if value is not None and ids.count(value) > 1}, key=str)
    says = "Two categories have one id, so the class of their objects is unclear: training refuses the file."
    case.findings.add("duplicate-category-id", "error", "category", shared, says, "Give every category its own id.")
    unclear = [value for value in shared if found.ids.count(value) > 1]
    if unclear:
        case.repairs.impossible.append(f"different categories share the id {unclear[0]!r}")


def check_categories(case: Case, categories: CategoryList, labels: npt.NDArray[np.int64]) -> None:
    """Check names and use.

    Args:
        case: The file.
        categories: Its categories.
        labels: int64 [annotations], position of each annotation's category, -1 for an unknown one.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(categories.ids))
    zero = [value for value, count in zip(categories.ids, counts.tolist(), strict=True) if value == 0 and count]
    says = (
        "The category id 0 is in use. This program numbers the classes by itself; tools that take 0 for the background "
        "lose this class."
    )
    case.findings.add("category-id-zero", "note", "category", zero, says)
    if of_stuff(categories.ids):
        case.findings.add("stuff-classes", "warning", "file", [str(case.facts.path)], STUFF, "Name that file.")
    by_name: dict[str, list[int]] = defaultdict(list)
    for label, name in enumerate(categories.names):
        by_name[name].append(label)
    for labels_of_name in by_name.values():
        if len(labels_of_name) > 1:
            _report_shared_name(case, categories, labels_of_name, counts)
    by_look: dict[str, list[Id]] = defaultdict(list)
    for name in by_name:
        by_look[" ".join(name.lower().replace("_", " ").replace("-", " ").split())].append(name)
    alike = [name for names in by_look.values() if len(names) > 1 for name in names]
    says = "Names that differ only in case, spaces or dashes: one class under two names?"
    case.findings.add("similar-category-names", "warning", "category", alike, says, "Join them if they mean the same.")


def check_same_categories(train: CategoryList, val: CategoryList, cases: tuple[Case, Case], findings: Findings) -> None:
    """Compare the lists of two files: training takes the same names in the same order of ids only.

    The repair is one list for both: the training file's, with what only the other has behind it.
    """
    if train.names == val.names:
        return
    differing: list[Id] = [*sorted(set(train.names) ^ set(val.names))] or list(train.names)
    says = (
        f"The training file has {len(train.names)} categories, the validation file {len(val.names)}, and names or "
        "order differ: training refuses them."
    )
    to_do = "Write one list of categories into both files, as fix=PATH does."
    findings.add("different-categories", "error", "category", differing, says, to_do)
    joined, val_ids = _joined(_repaired(train, cases[0]), _repaired(val, cases[1]))
    for case in cases:
        case.repairs.categories = joined
        case.repairs.category_changes.append(f"categories: the {len(joined)} of both files together")
    renamed = {value: new for value, new in val_ids.items() if value != new}
    repairs = cases[1].repairs
    repairs.category_of = {value: val_ids.get(new, new) for value, new in repairs.category_of.items()} | renamed
    repairs.category_changes += [f"category {value}: its id becomes {new}" for value, new in renamed.items()]


def _repaired(categories: CategoryList, case: Case) -> CategoryList:
    return categories if case.repairs.categories is None else CategoryList.of(case.repairs.categories)


def _joined(train: CategoryList, val: CategoryList) -> tuple[list[dict[str, Any]], dict[Id, Id]]:
    """One list, and the id in it of each id of the second file."""
    entries = list(train.entries)
    id_of = dict(zip(train.names, train.ids, strict=True))
    free = max((value for value in (*train.ids, *val.ids) if isinstance(value, int)), default=0) + 1
    for entry, value, name in zip(val.entries, val.ids, val.names, strict=True):
        if name in id_of:
            continue
        if value in id_of.values() or isinstance(value, str) != isinstance(train.ids[0], str):
            value, free = free, free + 1
        id_of[name] = value
        entries.append({**entry, "id": value})
    return entries, {value: id_of[name] for value, name in zip(val.ids, val.names, strict=True)}


def _report_shared_name(case: Case, categories: CategoryList, labels: list[int], counts: npt.NDArray[np.int64]) -> None:
    name, repairs = categories.names[labels[0]], case.repairs
    used = [label for label in labels if counts[label]]
    severity: Severity = "error" if len(used) > 1 else "warning"
    ids = [categories.ids[label] for label in labels]
    says = f"{len(ids)} categories are named {name!r}, {len(used)} of them in use; each becomes a class of its own."
    case.findings.add("duplicate-category-name", severity, "category", ids, says, "fix=PATH joins them into one.")
    kept = categories.ids[used[0] if used else labels[0]]
    gone = [value for value in ids if value != kept]
    entries = repairs.categories if repairs.categories is not None else list(categories.entries)
    repairs.categories = [entry for entry in entries if as_id(entry.get("id")) not in gone]
    repairs.category_of |= dict.fromkeys(gone, kept)
    repairs.category_changes += [f"category {value}: left out, {kept} has the same name {name!r}" for value in gone]
