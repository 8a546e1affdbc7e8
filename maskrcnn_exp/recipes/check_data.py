"""Check a dataset before a training: what is wrong, how bad it is, and a repaired file."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.config_check import check_or_raise
from maskrcnn_exp.data.audit.audit import Audited, Options, audit_files, audit_opened
from maskrcnn_exp.data.audit.contact_sheet import write_contact_sheet
from maskrcnn_exp.data.audit.look import Look, LookAtAll, look_at_all
from maskrcnn_exp.data.audit.repair_file import changes_path, refuse_impossible, write_repaired
from maskrcnn_exp.data.audit.report import errors_in_words, report_json, report_lines
from maskrcnn_exp.data.audit.sizes import Geometry
from maskrcnn_exp.data.formats.read import read_sources
from maskrcnn_exp.data.formats.source import Source
from maskrcnn_exp.data.layout import coco_places
from maskrcnn_exp.errors import ConfigError, DataError
from maskrcnn_exp.recipes.words import split_words, yes_or_no
from maskrcnn_exp.record.atomic import write_atomic
from maskrcnn_exp.record.console import Console
from maskrcnn_exp.schema import CocoConfig, ConvertedConfig, DatasetConfig, ModelConfig, TrainConfig

__all__ = ["CheckSettings", "check_data", "run_words"]

Splits = dict[str, tuple[Path | Source, Path | None]]
"""The annotations of each split, and the folder of its pictures."""


@dataclass(frozen=True)
class CheckSettings:
    """What the command line says beside the configuration."""

    fix: Path | None = None  # the repaired training file; the validation file's is beside it
    as_json: bool = False  # print the report as JSON
    pictures: bool = True  # read the picture files
    output: Path = Path("runs/check_data")  # folder of report.json and worst.png


def run_words(words: Sequence[str]) -> None:
    """Check as the command line says: `dataset=… [fix=PATH] [json=true] [pictures=false] [output=FOLDER] [overrides]`.

    Raises:
        DataError: there are errors that no repaired file mends.
    """
    own, overrides = split_words(words, ("fix", "json", "pictures", "output"))
    config = to_train_config(compose(overrides))
    check_or_raise(config)
    started = time.strftime("%Y-%m-%d_%H-%M-%S")
    settings = CheckSettings(
        fix=Path(own["fix"]) if "fix" in own else None,
        as_json=yes_or_no(own, "json", False),
        pictures=yes_or_no(own, "pictures", True),
        output=Path(own.get("output", f"runs/check_data/{started}")),
    )
    check_data(config, settings, Console(sys.stderr) if settings.as_json else Console())


def check_data(config: TrainConfig, settings: CheckSettings, console: Console) -> None:
    """Audit, report, and repair where asked.

    Raises:
        ConfigError: `fix` cannot be written where it was asked for.
        DataError: there are errors, and no repaired file was asked for.
    """
    splits = _splits(config.dataset)
    targets = _targets(splits, settings)
    options = _options(config, _reader(config, settings, console))
    audited = audit_files(splits, options) if splits is not None else _audit(config, options)
    _report(config, settings, audited, console)
    if splits is not None and targets:
        _repair(splits, audited, targets, options, console)
    elif wrong := errors_in_words(audited.findings):
        raise DataError(f"{wrong}. The report says what to do about each.")


def _options(config: TrainConfig, reader: LookAtAll | None) -> Options:
    fraction = getattr(config.dataset, "val_fraction", 0.5)
    return Options(_geometry(config.model), config.dataset.keep_empty, fraction, reader)


def _geometry(model: ModelConfig) -> Geometry:
    """Of the model at evaluation, which takes the last of several sizes."""
    return Geometry(
        min_size=model.min_size[-1],
        max_size=model.max_size,
        anchor_sizes=tuple(model.anchor_sizes),
        anchor_ratios=tuple(model.anchor_ratios),
        mask_resolution=model.mask_head.resolution,
    )


def _reader(config: TrainConfig, settings: CheckSettings, console: Console) -> LookAtAll | None:
    """Read every file once, also where a repaired file is checked after the first."""
    if not settings.pictures:
        return None
    seen: dict[str, Look] = {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, 8) if config.trainer.num_workers < 0 else config.trainer.num_workers

    def read(paths: Sequence[str]) -> list[Look]:
        new = [path for path in paths if path not in seen]
        with console.progress(len(new), description="pictures") as bar:
            for path, found in zip(new, look_at_all(new, workers), strict=True):
                seen[path] = found
                bar.advance()
        return [seen[path] for path in paths]

    return read


def _audit(config: TrainConfig, options: Options) -> Audited:
    from maskrcnn_exp.data.build import open_datasets  # imports torch, which the audit of annotation files does without
    from maskrcnn_exp.data.mask_png import MaskPngDataset

    train, val = open_datasets(config.dataset)
    folders = [part.images if isinstance(part, MaskPngDataset) else None for part in (train, val)]
    return audit_opened(train, val, folders, options)


def _report(config: TrainConfig, settings: CheckSettings, audited: Audited, console: Console) -> None:
    geometry = _geometry(config.model)
    sheet = settings.output / "worst.png"
    try:
        settings.output.mkdir(parents=True, exist_ok=True)
        tiles = write_contact_sheet(sheet, audited.findings, audited.shown)
        content = report_json(audited, geometry, sheet if tiles else None)
        text = json.dumps(content, indent=2)  # ASCII: a file_name may hold halves of characters
        write_atomic(settings.output / "report.json", lambda file: _write(file, text))
    except OSError as error:
        raise ConfigError(
            f"output={settings.output} cannot be written: {error.strerror}. Name another folder."
        ) from error
    if settings.as_json:
        print(text)
        return
    console.print("\n".join(report_lines(audited, geometry)))
    console.print(f"written: {settings.output / 'report.json'}" + (f" · {sheet}" if tiles else ""))


def _write(file: BinaryIO, text: str) -> None:
    file.write(f"{text}\n".encode())


def _splits(dataset: DatasetConfig) -> Splits | None:
    """The annotations of each split with their folder of pictures; None for datasets without annotation files."""
    if isinstance(dataset, ConvertedConfig):
        return {name: (one, one.folder) for name, one in zip(("train", "val"), read_sources(dataset), strict=False)}
    if not isinstance(dataset, CocoConfig):
        return None
    images, annotations, val_images, val_annotations = coco_places(dataset)
    named = {"train": (annotations, images), "val": (val_annotations, val_images or images)}
    return {name: (path, folder) for name, (path, folder) in named.items() if path is not None}


def _targets(splits: Splits | None, settings: CheckSettings) -> dict[str, Path]:
    """The repaired file of each split. Raises ConfigError before any work is done."""
    if settings.fix is None:
        return {}
    if splits is None:
        raise ConfigError(f"fix={settings.fix} writes COCO files: it needs dataset=coco, yolo_seg, labelme or voc.")
    fix = settings.fix
    beside = {"train": fix, "val": fix.with_name(f"{fix.stem}.val{fix.suffix}")}
    targets = {name: beside[name] for name in splits}
    sources = [annotations for annotations, _ in splits.values() if isinstance(annotations, Path)]
    for path in targets.values():
        if not path.parent.is_dir():
            raise ConfigError(f"fix={fix}: there is no folder {path.parent}. Make it first.")
        if any(path.exists() and source.exists() and path.samefile(source) for source in sources):
            raise ConfigError(f"fix={fix} would overwrite the file that is checked. Name a new file.")
        if path.exists() and not changes_path(path).exists():
            raise ConfigError(f"fix={fix}: {path} exists and is no file that check-data wrote. Name a new file.")
    return targets


def _repair(splits: Splits, audited: Audited, targets: dict[str, Path], options: Options, console: Console) -> None:
    """Write the repaired files and check them as their originals were checked."""
    if set(audited.files) != set(targets):
        raise DataError(f"{errors_in_words(audited.findings)}. Nothing was written.")
    for audit in audited.files.values():
        audit.case.repairs.settle(audit.references.images, len(audit.case.entries))
        refuse_impossible(audit)
    for name, audit in audited.files.items():
        try:
            changes = write_repaired(audit, targets[name])
        except OSError as error:
            raise ConfigError(f"fix={targets[name]} cannot be written: {error.strerror}. Name another file.") from error
        what = "repaired" if isinstance(splits[name][0], Path) else "converted to COCO"
        console.print(f"{what}: {targets[name]}, {changes} changes: {changes_path(targets[name])}")
    again = audit_files({name: (path, splits[name][1]) for name, path in targets.items()}, options)
    if wrong := errors_in_words(again.findings):
        raise DataError(f"the repaired file still has {wrong}. Please report it with the file.")
    console.print(f"to train on it: {' '.join(_typed(splits, targets))}")


def _typed(splits: Splits, targets: dict[str, Path]) -> list[str]:
    """The overrides that name the repaired files with their pictures."""
    words = ["dataset=coco"]
    for name, path in targets.items():
        folder = splits[name][1]
        words += [f"dataset.{name}.images={folder}"] if folder is not None else []
        words.append(f"dataset.{name}.annotations={path}")
    return words
