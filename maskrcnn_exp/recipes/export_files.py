"""Where `export` reads and writes: the checkpoint of a run, pictures to compare on, the files of each format."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskrcnn_exp.data.build import open_datasets
from maskrcnn_exp.data.picture_paths import find_pictures
from maskrcnn_exp.data.pictures import read_rgb
from maskrcnn_exp.engine.checkpoint import Checkpoint
from maskrcnn_exp.errors import CheckpointError, ConfigError, DataError
from maskrcnn_exp.model import load_torchvision
from maskrcnn_exp.record.atomic import write_atomic, write_json_atomic
from maskrcnn_exp.schema import ModelConfig, TrainConfig

__all__ = ["checkpoint_of", "export_folder", "onnx_metadata", "pictures_for", "write_onnx", "write_torchvision"]

_CHECKPOINTS = "checkpoints"


def checkpoint_of(named: Path) -> Path:
    """Return the checkpoint that a file or a run's folder means: best.pt, else last.pt.

    Raises:
        CheckpointError: the folder holds none. A file that is absent is refused where it is read.
    """
    if not named.is_dir():
        return named
    for folder in (named / _CHECKPOINTS, named):
        for name in ("best.pt", "last.pt"):
            if (folder / name).is_file():
                return folder / name
    raise CheckpointError(
        f"{named}: no checkpoints/best.pt or last.pt in this folder. Name a run's folder or a checkpoint file."
    )


def export_folder(source: Path, output: str | None) -> Path:
    """Return the folder that takes the files, made now: a folder that cannot be written is said before the work.

    Raises:
        ConfigError: it cannot be made or written.
    """
    run = source.parent.parent if source.parent.name == _CHECKPOINTS else source.parent
    folder = Path(output).expanduser() if output else run / "export"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"output={folder}: the folder cannot be made ({error.strerror}). Give another output=DIR."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"output={folder}: the folder cannot be written. Give another output=DIR.")
    return folder


def pictures_for(config: TrainConfig, images: str | None, count: int) -> list[Tensor]:
    """Return pictures, uint8 [3, h, w]: the user's first ones, or validation pictures spread over the set.

    A part of the first is added, so that at least two sizes are looked at.

    Raises:
        DataError: there is none, or one cannot be read.
    """
    if images is not None:
        pictures = [read_rgb(path) for path, _ in find_pictures(images)[:count]]
    else:
        pictures = _validation_pictures(config, count)
    _, height, width = pictures[0].shape
    return [*pictures, pictures[0][:, : max(1, height * 3 // 4), : max(1, width * 2 // 3)].contiguous()]


def _validation_pictures(config: TrainConfig, count: int) -> list[Tensor]:
    try:
        _, val = open_datasets(config.dataset)
        if len(val) == 0:
            raise DataError("the validation set holds no picture.")
        count = min(count, len(val))
        return [val.load(index * len(val) // count).image for index in range(count)]
    except (ConfigError, DataError) as error:
        raise DataError(
            f"{error}\nWhat is exported is compared on the run's validation pictures; "
            "images=FILE|DIR|GLOB compares on others."
        ) from error


def onnx_metadata(checkpoint: Checkpoint, model: ModelConfig, *, paste_masks: bool) -> dict[str, str]:
    """Return what stands in the ONNX file beside the graph."""
    names = ["__background__", *(str(name) for _, name in checkpoint.categories)]
    return {
        "classes": json.dumps(names, ensure_ascii=False),
        "category_ids": json.dumps([None, *(key for key, _ in checkpoint.categories)]),
        "image": "float32 [3, height, width], RGB, 0..1; resized and normalised in the graph",
        "masks": "pasted" if paste_masks else "small",
        "score_threshold": str(model.score_threshold),
        "epoch": str(checkpoint.epochs_done),
    }


def write_onnx(path: Path, content: bytes) -> None:
    write_atomic(path, lambda file: _ignore(file.write(content)))


def write_torchvision(path: Path, state: Mapping[str, Tensor], spec: Mapping[str, Any]) -> list[Path]:
    """Write weights, their description and the loader, in the folder of `path`; return the three files."""
    description, loader = path.with_suffix(".json"), path.with_name("load_torchvision.py")
    write_atomic(path, lambda file: torch.save(dict(state), file))
    write_json_atomic(description, spec)
    code = Path(load_torchvision.__file__).read_bytes()
    write_atomic(loader, lambda file: _ignore(file.write(code)))
    return [path, description, loader]


def _ignore(_: int) -> None:
    """`write_atomic` wants a writer without a result."""
