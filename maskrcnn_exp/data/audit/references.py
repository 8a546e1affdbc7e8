"""The ids of annotations, and whether the pictures and categories that they name are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.coco_columns import Id

__all__ = ["References", "check_annotation_ids", "find_references"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class References:
    """What each annotation belongs to."""

    images: Ints  # [annotations], place of the picture in the file, -1 for none
    labels: Ints  # [annotations], position of the category, -1 for none


def check_annotation_ids(case: Case) -> None:
    """Find ids that occur twice, are absent, are 0, or are strings."""
    ids = case.facts.annotations.ids
    text = ids.dtype.kind == "U"
    later = np.ones(len(ids), dtype=bool)
    later[np.unique(ids, return_index=True)[1]] = False
    says = "An earlier annotation has the same id. Training takes both; other tools keep only the last one."
    case.annotations("duplicate-annotation-id", "error", np.flatnonzero(later), says, "fix=PATH gives a new id.")
    absent = [number for number, value in enumerate(ids.tolist()) if value == f"#{number}"] if text else []
    says = "Annotations without an id. Training takes them; COCO's own tools do not."
    case.annotations("annotation-without-id", "error", absent, says, "fix=PATH sets one.")
    zero = np.flatnonzero(ids == ("0" if text else 0))
    says = (
        "The annotation id 0: COCO's evaluator takes a detection of it for a false one. This program numbers "
        "annotations anew."
    )
    case.annotations("annotation-id-zero", "warning", zero, says, "fix=PATH changes it.")
    if text and len(absent) < len(ids):
        others = np.setdiff1d(np.arange(len(ids)), absent)
        says = "Annotation ids are strings. This program reads them; other tools expect whole numbers."
        case.annotations("string-annotation-id", "note", others, says)
    _renumber(case, [*np.flatnonzero(later).tolist(), *absent, *zero.tolist()])


def _renumber(case: Case, numbers: list[int]) -> None:
    """Give new ids: whole numbers above all that are there."""
    ids: list[Id] = case.facts.annotations.ids.tolist()
    free = max((int(value) for value in ids if isinstance(value, int) or value.isdecimal()), default=0) + 1
    for number in dict.fromkeys(numbers):
        case.repairs.set_annotation(number, "id", free, f"id {ids[number]} → {free}")
        free += 1


def find_references(case: Case, label_of: dict[Id, int]) -> References:
    """Find picture and category of each annotation, also where one is named by text instead of a number."""
    annotations, entries = case.facts.annotations, case.entries
    images = _resolve(case, annotations.image_ids, entries.number_of(), "image_id")
    for number, kept in entries.same_as.items():
        (into,) = entries.shown([kept])
        for annotation in np.flatnonzero(images == number).tolist():
            images[annotation] = kept
            why = f"image_id {annotations.image_ids[annotation]} → {into}, the same file"
            case.repairs.set_annotation(annotation, "image_id", entries.ids[kept], why)
    return References(images, _resolve(case, annotations.category_ids, label_of, "category_id"))


def _resolve(case: Case, column: npt.NDArray[Any], number_of: dict[Id, int], key: str) -> Ints:
    values: list[Id | None] = column.tolist()
    found = np.array([-1 if value is None else number_of.get(value, -1) for value in values], dtype=np.int64)
    unknown = np.flatnonzero(found < 0).tolist()
    if not unknown:
        return found
    check = key.replace("_", "-")
    by_text = {str(value): value for value in number_of}
    other_type = [number for number in unknown if values[number] is not None and str(values[number]) in by_text]
    for number in other_type:
        right = by_text[str(values[number])]
        found[number] = number_of[right]
        case.repairs.set_annotation(number, key, right, f"{key} {values[number]!r} → {right!r}")
    says = f"{key} is text where the id is a number, or the other way round: training does not find it."
    case.annotations(f"{check}-of-other-type", "error", other_type, says, "fix=PATH sets the right type.")
    lost = [number for number in unknown if found[number] < 0]
    for number in lost:
        case.repairs.drop_annotation(number, f"its {key} {values[number]!r} is not in the file")
    if lost:
        says = f"{key} names nothing in the file, {values[lost[0]]!r} first: the annotation is left out."
        to_do = "Add what is missing, or let fix=PATH leave the annotations out."
        case.annotations(f"unknown-{check}", "error", lost, says, to_do)
    return found
