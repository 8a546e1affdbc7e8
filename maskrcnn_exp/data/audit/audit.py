"""The audit of a whole dataset: every file by itself, then training and validation together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from maskrcnn_exp.data.audit.categories import check_same_categories
from maskrcnn_exp.data.audit.coco_audit import CocoAudit, audit_coco_file
from maskrcnn_exp.data.audit.contact_sheet import Drawn
from maskrcnn_exp.data.audit.cross import check_both, check_files, hold_out
from maskrcnn_exp.data.audit.findings import Finding, Findings, by_severity
from maskrcnn_exp.data.audit.folder_audit import audit_dataset
from maskrcnn_exp.data.audit.look import LookAtAll
from maskrcnn_exp.data.audit.sizes import Geometry
from maskrcnn_exp.data.audit.split import Split
from maskrcnn_exp.data.audit.views import CocoView, DatasetView, View
from maskrcnn_exp.data.formats.source import Source
from maskrcnn_exp.data.layout import CocoPlaces
from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.errors import DataError

__all__ = ["Audited", "Options", "audit_coco", "audit_files", "audit_opened"]


@dataclass(frozen=True)
class Options:
    """What decides how an audit goes."""

    geometry: Geometry
    keep_empty: bool
    val_fraction: float
    look_at_all: LookAtAll | None  # None: pictures are not read


@dataclass
class Audited:
    """A dataset after its audit."""

    findings: list[Finding]  # errors first
    splits: list[Split]  # one per file; training first
    views: dict[str, View]  # by split
    files: dict[str, CocoAudit] = field(default_factory=dict)  # by split; COCO only

    def shown(self, finding: Finding, number: int) -> Drawn | None:
        """What the contact sheet shows. Pictures that concern both splits are numbered by the validation's."""
        wanted = finding.split if finding.split in self.views else "val"
        view = self.views.get(wanted) or next(iter(self.views.values()))
        return view.picture(number) if finding.of == "picture" else view.annotation(number)


def audit_coco(places: CocoPlaces, options: Options) -> Audited:
    """Check COCO files; one that is none becomes a finding."""
    images, annotations, val_images, val_annotations = places
    named = {"train": (annotations, images), "val": (val_annotations, val_images or images)}
    return audit_files({name: (path, folder) for name, (path, folder) in named.items() if path is not None}, options)


def audit_files(splits: Mapping[str, tuple[Path | Source, Path | None]], options: Options) -> Audited:
    """Check the annotations of each split with the folder of its pictures."""
    found: list[Findings] = []
    files: dict[str, CocoAudit] = {}
    for name, (place, folder) in splits.items():
        try:
            files[name] = audit_coco_file(name, place, folder, options.look_at_all)
            found.append(files[name].case.findings)
        except DataError as error:
            found.append(Findings(name))
            found[-1].add("not-coco", "error", "file", [str(place)], str(error))
    if len(files) == 2:
        found.append(Findings("both"))
        train, val = files["train"], files["val"]
        check_same_categories(train.categories, val.categories, (train.case, val.case), found[-1])
    objects = [audit.split for audit in files.values()]
    found += check_files(objects, options.geometry, options.keep_empty)
    if "train" in files and len(files) == len(splits):
        found.append(check_both(*_both(files, options.val_fraction)))
    views: dict[str, View] = {name: CocoView(audit, splits[name][1]) for name, audit in files.items()}
    return Audited(_joined(found), objects, views, files)


def audit_opened(train: InstanceDataset, val: InstanceDataset, folders: list[Path | None], options: Options) -> Audited:
    """Check datasets that are opened already."""
    found: list[Findings] = []
    splits: list[Split] = []
    views: dict[str, View] = {}
    for name, dataset, folder in zip(("train", "val"), (train, val), folders, strict=True):
        findings, split = audit_dataset(name, dataset, folder, options.look_at_all)
        found.append(findings)
        splits.append(split)
        views[name] = DatasetView(dataset, split)
    found += check_files(splits, options.geometry, options.keep_empty)
    found.append(check_both(splits[0], splits[1]))
    return Audited(_joined(found), splits, views)


def _both(files: dict[str, CocoAudit], val_fraction: float) -> tuple[Split, Split | None]:
    train = files["train"].split
    return (train, files["val"].split) if "val" in files else hold_out(train, val_fraction)


def _joined(found: list[Findings]) -> list[Finding]:
    return by_severity(finding for findings in found for finding in findings.found)
