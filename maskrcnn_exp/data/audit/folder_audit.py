"""The audit of datasets without a COCO file: what the reader left out, and what masks and pictures tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.findings import Findings, Severity
from maskrcnn_exp.data.audit.look import Look, LookAtAll
from maskrcnn_exp.data.audit.masks import check_masks, find_doubles
from maskrcnn_exp.data.audit.pictures import check_kinds, check_unreadable
from maskrcnn_exp.data.audit.split import Objects, Split
from maskrcnn_exp.data.ground_truth import Rle
from maskrcnn_exp.data.target import InstanceDataset

__all__ = ["audit_dataset"]


def audit_dataset(
    name: str, dataset: InstanceDataset, folder: Path | None, look_at_all: LookAtAll | None
) -> tuple[Findings, Split]:
    """Check an opened dataset.

    Args:
        name: train or val.
        dataset: Its image ids are file names where there is a folder.
        folder: Of the pictures; None where they are drawn.
        look_at_all: Reads the pictures; None leaves them unread.
    """
    findings = Findings(name)
    summary = dataset.summary()
    for reason, names in summary.left_out.items():
        severity: Severity = "note" if "keep_empty" in reason else "error"
        to_do = "" if severity == "note" else "Mend the files, or take them out of the folder."
        findings.add("left-out", severity, "picture", names, f"Left out: {reason}.", to_do)
    for note in summary.notes:
        findings.add("note", "note", "file", [str(folder or name)], note)
    ids = [dataset.image_id(position) for position in range(len(dataset))]
    looks: dict[int, Look] = {}
    if folder is not None and look_at_all is not None:
        looks = dict(enumerate(look_at_all([str(folder / str(value)) for value in ids])))

    def shown(numbers: list[int]) -> list[int | str]:
        return [ids[number] for number in numbers]

    bad = check_unreadable(looks, shown, findings)
    check_kinds({number: seen for number, seen in looks.items() if not seen.problem}, shown, findings)
    split = _split(name, dataset, looks, bad)
    check_masks(split, findings)
    find_doubles(split, findings)
    return findings, split


def _split(name: str, dataset: InstanceDataset, looks: dict[int, Look], bad: list[int]) -> Split:
    truth = dataset.ground_truth()
    annotations = truth["annotations"]
    rles: list[Rle] = [annotation["segmentation"] for annotation in annotations]
    xywh = np.array([annotation["bbox"] for annotation in annotations], dtype=np.float64).reshape(-1, 4)
    count = len(dataset)
    usable = np.ones(count, dtype=bool)
    usable[bad] = False
    ids = [value for position in range(count) for value in dataset.annotation_ids(position)]
    objects = Objects(
        numbers=np.arange(len(annotations)),
        ids=np.array(ids, dtype=object),
        pictures=np.array([annotation["image_id"] for annotation in annotations], dtype=np.int64),
        labels=np.array([annotation["category_id"] - 1 for annotation in annotations], dtype=np.int64),
        crowd=np.zeros(len(annotations), dtype=bool),
        areas=np.array([annotation["area"] for annotation in annotations], dtype=np.float64),
        boxes=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
    )

    def draw(numbers: npt.NDArray[np.int64]) -> list[Rle]:
        return [rles[number] for number in numbers.tolist()]

    return Split(
        name=name,
        picture_ids=[dataset.image_id(position) for position in range(count)],
        names=[str(image["file_name"]) for image in truth["images"]],
        sizes=np.array([(image["height"], image["width"]) for image in truth["images"]], dtype=np.int64).reshape(-1, 2),
        usable=usable,
        objects=objects,
        class_ids=tuple(category.id for category in dataset.categories),
        class_names=tuple(category.name for category in dataset.categories),
        looks=looks,
        draw=draw,
    )
