"""Checks of the `images` of a COCO file against each other."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Final

import numpy as np

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.audit.entries import leads_outside
from maskrcnn_exp.data.coco_columns import Id

__all__ = ["check_image_entries"]

_MOST_PIXELS: Final = 178_956_970  # where PIL refuses a picture as a decompression bomb, and the reader an entry


def check_image_entries(case: Case) -> None:
    """Find entries without id or name, ids and files that occur twice, and ids of odd kinds."""
    _check_whole(case)
    _check_ids(case)
    _note_id_kinds(case)
    _check_names(case)
    _check_pixels(case)


def _check_whole(case: Case) -> None:
    entries, images = case.entries, case.facts.images
    bad = [
        n for n, (value, name) in enumerate(zip(entries.ids, entries.names, strict=True)) if value is None or not name
    ]
    says = "The entry has no id or no file_name, so the picture is left out."
    case.pictures("picture-entry", "error", bad, says, "fix=PATH leaves it out.")
    for number in bad:
        entries.usable[number] = False
        case.repairs.drop_image(number, "it has no id or no file_name")
    named = [n for n, image in enumerate(images) if image is not None and not image["file_name"] and entries.names[n]]
    says = "There is no file_name, only coco_url (as in LVIS v1): the picture is looked for by that name."
    case.pictures("picture-without-file-name", "note", named, says, "fix=PATH sets file_name, for other tools.")
    for number in named:
        name = entries.names[number]
        case.repairs.set_image(number, "file_name", name, f"file_name {name!r}, from coco_url")


def _check_ids(case: Case) -> None:
    images = case.facts.images
    of_id: dict[Id, list[int]] = defaultdict(list)
    for number, value in enumerate(case.entries.ids):
        if value is not None:
            of_id[value].append(number)
    shared = [numbers for numbers in of_id.values() if len(numbers) > 1]
    says = "Two entries have one id, so their annotations cannot be told apart: training refuses the file."
    to_do = "Export again with an id per picture. fix=PATH keeps one of entries that are the same, and none of others."
    case.pictures("duplicate-image-id", "error", [number for numbers in shared for number in numbers], says, to_do)
    for numbers in shared:
        same = all(images[number] == images[numbers[0]] for number in numbers)
        for number in numbers[1 if same else 0 :]:
            case.entries.usable[number] = False
            why = "the same entry stands earlier in the file" if same else "another picture has the same id"
            case.repairs.drop_image(number, why)


def _note_id_kinds(case: Case) -> None:
    ids = case.entries.ids
    text = [number for number, value in enumerate(ids) if isinstance(value, str)]
    mixed = " and others are numbers" if 0 < len(text) < len(ids) else ""
    says = f"Ids are strings{mixed}. This program reads them; other tools expect whole numbers."
    case.pictures("string-image-id", "note", text, says)
    whole = sorted({value for value in ids if isinstance(value, int)})
    missing = whole[-1] - whole[0] + 1 - len(whole) if whole else 0
    if missing:
        before_gaps = [low for low, high in pairwise(whole) if high - low > 1]
        says = f"The ids run from {whole[0]} to {whole[-1]} and leave out {missing}; the ids before a gap are named."
        case.findings.add("image-id-gaps", "note", "picture", before_gaps, says)


def _check_names(case: Case) -> None:
    entries = case.entries
    outside = [number for number, name in enumerate(entries.names) if name and leads_outside(name)]
    says = "file_name leads out of the folder of pictures (.. or an absolute path): training refuses the file."
    to_do = "fix=PATH writes the path inside the folder where there is such a file, and else leaves the picture out."
    case.pictures("file-name-outside", "error", outside, says, to_do)
    of_name: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(entries.names):
        if name and entries.usable[number]:
            of_name[name].append(number)
    for numbers in of_name.values():
        if len(numbers) > 1:
            kept = next((number for number in numbers if entries.sizes[number].all()), numbers[0])
            entries.same_as |= {number: kept for number in numbers if number != kept}
    says = (
        "Another entry has the same file: each knows only its own annotations, and the objects of the other are taught "
        "as background."
    )
    case.pictures("duplicate-file-name", "error", list(entries.same_as), says, "fix=PATH joins them.")
    for number, kept in entries.same_as.items():
        entries.usable[number] = False
        (into,) = entries.shown([kept])
        case.repairs.drop_image(number, f"image {into} is the same file and takes its annotations")


def _check_pixels(case: Case) -> None:
    entries = case.entries
    too_many = np.flatnonzero(entries.usable & (entries.sizes.prod(axis=1) > _MOST_PIXELS)).tolist()
    says = f"The entry has more than {_MOST_PIXELS // 10**6} million pixels: training leaves it out."
    case.pictures("too-many-pixels", "error", too_many, says, "Cut it into tiles, or let fix=PATH leave it out.")
    for number in too_many:
        entries.usable[number] = False
        entries.sizes[number] = 0  # nobody draws a mask of that size
        case.repairs.drop_image(number, "it has too many pixels")
