"""Predict: what a checkpoint finds in pictures, as overlays, as COCO results, as label files of other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch

from maskrcnn_exp.config_check import check_or_raise
from maskrcnn_exp.data.picture_paths import NamedPicture, find_pictures
from maskrcnn_exp.data.pictures import read_rgb
from maskrcnn_exp.engine.checkpoint import Checkpoint, load_evaluated, read_checkpoint
from maskrcnn_exp.engine.prediction import Predictor
from maskrcnn_exp.errors import ConfigError, DataError
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.recipes.from_checkpoint import config_of
from maskrcnn_exp.recipes.prediction_files import PredictionFiles
from maskrcnn_exp.recipes.setup import fabric_for
from maskrcnn_exp.recipes.words import several_of, split_words, yes_or_no
from maskrcnn_exp.record.console import Console
from maskrcnn_exp.stop import stop_on_signals

__all__ = ["run_words"]

_FORMATS: Final = ("coco", "yolo", "labelme")
_SHOWN_SCORE: Final = 0.5
_DETECTIONS: Final = 100  # per picture, where neither the configuration nor the user says more


def run_words(words: Sequence[str]) -> int:
    """Predict as the command line says; return the exit code: DataError's where a picture could not be read.

    `checkpoint=PATH images=FILE|DIR|GLOB output=DIR [score=0.5] [format=coco,yolo,labelme] [overlays=false]
    [overrides]`

    Raises:
        ConfigError: a word is missing or wrong.
        DataError: no picture is there, or none can be read.
    """
    own, overrides = split_words(words, ("checkpoint", "images", "output", "score", "format", "overlays"))
    for key in ("checkpoint", "images", "output"):
        if key not in own:
            raise ConfigError(f"predict needs {key}=…: predict checkpoint=PATH images=FILE|DIR|GLOB output=DIR.")
    score, formats, overlays = _score(own), several_of(own, "format", _FORMATS), yes_or_no(own, "overlays", True)
    source = Path(own["checkpoint"])
    checkpoint = read_checkpoint(source)
    pictures = find_pictures(own["images"])
    console = Console()
    console.print(f"checkpoint: {source}, after epoch {checkpoint.epochs_done} · {len(pictures)} pictures")
    predictor = _predictor(checkpoint, source, overrides, console)
    categories = [(key, str(name)) for key, name in checkpoint.categories]
    files = PredictionFiles(Path(own["output"]), categories, score, formats, overlays)
    broken = _predict_all(pictures, predictor, files, console)
    if broken and not files.images:
        raise DataError(f"none of {len(pictures)} pictures could be read; the first is {broken[0]}.")
    files.close()
    loading = f"COCO('{files.images_file}').loadRes('{files.results_file}')"
    console.print(f"{len(files.results)} detections in {len(files.images)} pictures; to load them: {loading}")
    if broken:
        console.print(f"{len(broken)} of {len(pictures)} pictures could not be read")
    return DataError.exit_code if broken else 0


def _predict_all(
    pictures: Sequence[NamedPicture], predictor: Predictor, files: PredictionFiles, console: Console
) -> list[Path]:
    """Go through the pictures, each named as it fails; return those that could not be read."""
    broken = []
    with console.progress(len(pictures), description="predict") as bar, stop_on_signals() as stop:
        for number, (path, relative) in enumerate(pictures, start=1):
            try:
                image = read_rgb(path)
            except DataError as error:
                broken.append(path)
                console.print(f"left out: {error}")
            else:
                files.add(path, relative, image.permute(1, 2, 0).numpy(), predictor(image, number))
            bar.advance()
            if stop():
                console.print(f"stopped after {number} of {len(pictures)} pictures; what is written is complete")
                break
    return broken


def _predictor(checkpoint: Checkpoint, source: Path, overrides: Sequence[str], console: Console) -> Predictor:
    config, _ = config_of(checkpoint, overrides)
    check_or_raise(config)
    if config.trainer.devices > 1:
        raise ConfigError(f"trainer.devices={config.trainer.devices}: predict runs on one device.")
    fabric, device_line = fabric_for(config.trainer)
    console.print(device_line)
    detections = config.model.detections_per_image or max(checkpoint.detections_per_image, _DETECTIONS)
    network, _ = build_maskrcnn(
        config.model, len(checkpoint.categories) + 1, detections, load_weights=False, fast=config.trainer.fast
    )
    load_evaluated(network, checkpoint, source)
    memory_format = torch.channels_last if config.trainer.channels_last else torch.contiguous_format
    return Predictor(network.to(device=fabric.device, memory_format=memory_format), fabric)


def _score(own: Mapping[str, str]) -> float:
    text = own.get("score", str(_SHOWN_SCORE))
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise ConfigError(f"score={text} must be a number from 0 to 1.")
    return score
