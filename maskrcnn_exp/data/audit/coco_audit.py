"""The audit of one COCO file, top-down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.audit.categories import CategoryList, check_categories, read_categories
from maskrcnn_exp.data.audit.coco_facts import read_facts
from maskrcnn_exp.data.audit.converted import judge_as_converted
from maskrcnn_exp.data.audit.crowds import check_crowds
from maskrcnn_exp.data.audit.entries import Entries, leads_outside
from maskrcnn_exp.data.audit.files import find_files
from maskrcnn_exp.data.audit.findings import Findings
from maskrcnn_exp.data.audit.geometry import check_areas, check_boxes, check_outside
from maskrcnn_exp.data.audit.image_entries import check_image_entries
from maskrcnn_exp.data.audit.look import Look, LookAtAll
from maskrcnn_exp.data.audit.masks import check_masks, find_doubles
from maskrcnn_exp.data.audit.outline_checks import check_outlines
from maskrcnn_exp.data.audit.outlines import Outlines
from maskrcnn_exp.data.audit.pictures import check_looks
from maskrcnn_exp.data.audit.references import References, check_annotation_ids, find_references
from maskrcnn_exp.data.audit.split import Objects, Split
from maskrcnn_exp.data.formats.source import Source

__all__ = ["CocoAudit", "audit_coco_file"]


@dataclass
class CocoAudit:
    """One file after its audit."""

    case: Case
    categories: CategoryList
    references: References
    split: Split


def audit_coco_file(
    name: str, annotations: Path | Source, folder: Path | None, look_at_all: LookAtAll | None
) -> CocoAudit:
    """Check one file with its pictures.

    Args:
        name: train or val.
        annotations: The COCO file, or another format as one.
        folder: Of its pictures; None where they are not at hand.
        look_at_all: Reads the pictures; None leaves them unread, except those whose size only the file tells.

    Raises:
        DataError: it is no COCO instances file; the message names what it seems to be.
    """
    facts = read_facts(annotations)
    case = Case(facts, Entries.of(facts.images), Findings(name))
    check_image_entries(case)
    categories = read_categories(case)
    looks = _look_at_pictures(case, folder, look_at_all)
    references = find_references(case, categories.label_of())
    check_categories(case, categories, references.labels)
    check_annotation_ids(case)
    check_crowds(case)
    _check_presence(case)
    sizes = _sizes_of_annotations(case.entries, references)
    outlines = Outlines(facts.annotations.segments, facts.annotations.rows, facts.annotations.rle_sizes, sizes)
    drawable = check_outlines(case, references, outlines)
    placed = drawable & (sizes[:, 0] > 0)
    check_boxes(case, outlines, placed, references)
    check_areas(case, outlines, placed)
    check_outside(case, outlines, placed)
    split = _split(case, categories, references, outlines, placed, looks)
    check_masks(split, case.findings)
    for number in find_doubles(split, case.findings).tolist():
        case.repairs.drop_annotation(number, "another annotation of its class has the same mask to the pixel")
    _check_lost_pictures(case, references, drawable)
    if facts.source is not None:
        judge_as_converted(case, facts.source)
    return CocoAudit(case, categories, references, split)


def _look_at_pictures(case: Case, folder: Path | None, look_at_all: LookAtAll | None) -> dict[int, Look]:
    entries = case.entries
    looks: dict[int, Look] = {}
    if folder is None:
        says = "No folder of pictures is named: only the annotations were looked at."
        to_do = "dataset.train.images=FOLDER"
        case.findings.add("pictures-not-read", "note", "file", [str(case.facts.path)], says, to_do)
        if any(name and leads_outside(name) for name in entries.names):
            case.repairs.impossible.append("a file_name leads out of a folder of pictures that is not named")
    else:
        find_files(case, folder)
    if folder is not None and folder.is_dir() and look_at_all is not None:
        numbers = [number for number in range(len(entries)) if entries.usable[number] and entries.names[number]]
        paths = [str(folder / entries.names[number]) for number in numbers]
        looks = dict(zip(numbers, look_at_all(paths), strict=True))
        check_looks(case, looks)
    unknown = np.flatnonzero(entries.usable & ~entries.sizes.all(axis=1)).tolist()
    says = "The entry has no width and height."
    if folder is not None and folder.is_dir():
        case.pictures("picture-without-size", "warning", unknown, f"{says} The reader takes them from the file.")
    else:
        case.pictures("picture-without-size", "error", unknown, says, "Name the folder of pictures, which tell it.")
        for number in unknown:
            case.repairs.drop_image(number, "its width and height are not known")
            entries.usable[number] = False
    return looks


def _check_presence(case: Case) -> None:
    if len(case.facts.annotations) == 0:
        says = "There are no annotations: every picture would be a picture of nothing."
        to_do = "Is it the right file? image_info files of COCO's test set have none."
        case.findings.add("no-annotations", "error", "file", [str(case.facts.path)], says, to_do)
        case.repairs.impossible.append("it has no annotations")


def _sizes_of_annotations(entries: Entries, references: References) -> npt.NDArray[np.int64]:
    """Height and width of each annotation's picture: int64 [annotations, 2], 0 where there is none."""
    sizes = np.zeros((len(references.images), 2), dtype=np.int64)
    placed = references.images >= 0
    sizes[placed] = entries.sizes[references.images[placed]]
    return sizes


def _split(
    case: Case,
    categories: CategoryList,
    references: References,
    outlines: Outlines,
    placed: npt.NDArray[np.bool_],
    looks: dict[int, Look],
) -> Split:
    in_usable = np.zeros(len(placed), dtype=bool)
    known = references.images >= 0
    in_usable[known] = case.entries.usable[references.images[known]]
    numbers = np.flatnonzero(placed & in_usable & (references.labels >= 0))
    annotations = case.facts.annotations
    objects = Objects(
        numbers=numbers,
        ids=annotations.ids[numbers],
        pictures=references.images[numbers],
        labels=references.labels[numbers],
        crowd=annotations.crowd[numbers],
        areas=outlines.areas[numbers],
        boxes=outlines.boxes[numbers],
    )
    return Split(
        name=case.findings.split,
        picture_ids=case.entries.shown(range(len(case.entries))),
        names=case.entries.names,
        sizes=case.entries.sizes,
        usable=case.entries.usable,
        objects=objects,
        class_ids=categories.ids,
        class_names=categories.names,
        looks=looks,
        draw=outlines.draw,
    )


def _check_lost_pictures(case: Case, references: References, drawable: npt.NDArray[np.bool_]) -> None:
    """Find usable pictures that have annotations, none of which can be used: training leaves them out."""
    count = len(case.entries)
    in_picture = references.images >= 0
    had = np.bincount(references.images[in_picture], minlength=count) > 0
    kept = in_picture & drawable & (references.labels >= 0)
    has = np.bincount(references.images[kept], minlength=count) > 0
    lost = np.flatnonzero(had & ~has & case.entries.usable)
    case.entries.usable[lost] = False
    if not drawable.any():
        return  # the whole file is without masks: that is said, and no picture is to blame
    says = "The picture has annotations, and none of them can be used: it is left out, or it would pass for empty."
    case.pictures("all-annotations-unusable", "error", lost, says, "Draw them again, or let fix=PATH leave it out.")
