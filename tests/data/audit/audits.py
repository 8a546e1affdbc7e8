"""Audits as the tests ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskrcnn_exp.data.audit.audit import Audited, Options, audit_coco
from maskrcnn_exp.data.audit.findings import Finding
from maskrcnn_exp.data.audit.look import Look, look_at_all
from maskrcnn_exp.data.audit.repair_file import refuse_impossible, write_repaired
from maskrcnn_exp.data.audit.sizes import Geometry
from tests.data.coco_files import annotation, image, write_coco

__all__ = ["GEOMETRY", "audit", "audit_entries", "checks", "finding", "good", "polygon", "repaired"]

GEOMETRY = Geometry(
    min_size=160, max_size=320, anchor_sizes=(8, 16, 32, 64, 128), anchor_ratios=(0.5, 1.0, 2.0), mask_resolution=28
)


def audit(train: Path, folder: Path | None = None, val: Path | None = None, *, pictures: bool = True) -> Audited:
    """Audit COCO files whose pictures lie in one folder; None: they are not at hand."""

    def read(paths: Sequence[str]) -> list[Look]:
        return list(look_at_all(paths, workers=0))

    options = Options(GEOMETRY, keep_empty=True, val_fraction=0.5, look_at_all=read if pictures else None)
    return audit_coco((folder, train, folder if val else None, val), options)


def audit_entries(folder: Path, annotations: list[Any], images: list[Any] | None = None, **changes: Any) -> Audited:
    """Audit a file of these annotations and, where they are not given, of one picture of 20 × 10 pixels with id 1."""
    return audit(write_coco(folder, [image(1)] if images is None else images, annotations, **changes))


def checks(audited: Audited, *severities: str) -> set[str]:
    """The names of the findings of some severities; of all where none is given."""
    return {found.check for found in audited.findings if not severities or found.severity in severities}


def finding(audited: Audited, check: str) -> Finding:
    """The one finding of this name."""
    (found,) = [found for found in audited.findings if found.check == check]
    return found


def polygon(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    """A rectangle as a segmentation."""
    return [[left, top, right, top, right, bottom, left, bottom]]


def repaired(audited: Audited, path: Path, split: str = "train") -> str:
    """Write the repaired file and return the list of changes."""
    file = audited.files[split]
    file.case.repairs.settle(file.references.images, len(file.case.entries))
    refuse_impossible(file)
    write_repaired(file, path)
    return path.with_name(f"{path.name}.changes.txt").read_text()


def good(number: int, **changes: Any) -> dict[str, Any]:
    """A sound annotation of picture 1."""
    return annotation(number, 1, **changes)
