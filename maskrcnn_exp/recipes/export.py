"""Export: a checkpoint as an ONNX graph or as plain torchvision weights, compared with ours before it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.config_check import check_or_raise
from maskrcnn_exp.engine.checkpoint import Checkpoint, load_evaluated, read_checkpoint
from maskrcnn_exp.engine.export_check import Agreement, Found, found_by
from maskrcnn_exp.engine.onnx_graph import found_by_onnx, needs_onnx, to_onnx
from maskrcnn_exp.errors import CheckpointError, ConfigError
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.load_torchvision import build
from maskrcnn_exp.model.plain import describe, plain_maskrcnn
from maskrcnn_exp.model.sampling import SeededTransform
from maskrcnn_exp.recipes.export_files import (
    checkpoint_of,
    export_folder,
    onnx_metadata,
    pictures_for,
    write_onnx,
    write_torchvision,
)
from maskrcnn_exp.recipes.from_checkpoint import config_of
from maskrcnn_exp.recipes.words import several_of, split_words
from maskrcnn_exp.record.console import Console
from maskrcnn_exp.schema import TrainConfig

__all__ = ["run_words"]

_FORMATS: Final = ("onnx", "torchvision")
_PICTURES: Final = 8  # compared, where the user does not say how many
_DETECTIONS: Final = 100  # per picture, as `predict` keeps them
_KEYS: Final = ("checkpoint", "format", "output", "images", "pictures", "masks")


@dataclass(frozen=True)
class _Export:
    """What all formats start from."""

    config: TrainConfig
    checkpoint: Checkpoint
    detections: int  # most per picture
    ours: MaskRCNN  # the network that `predict` runs, in float32 on the CPU
    pictures: list[Tensor]  # uint8 [3, h, w]
    console: Console

    def plain(self) -> MaskRCNN:
        classes = len(self.checkpoint.categories) + 1
        return plain_maskrcnn(self.config.model, classes, self.detections, self.ours.state_dict())


def run_words(words: Sequence[str]) -> None:
    """Export as the command line says.

    `CHECKPOINT|RUN [format=onnx,torchvision] [output=DIR] [images=FILE|DIR|GLOB] [pictures=8] [masks=small]
    [overrides]`

    Raises:
        ConfigError: a word is wrong, a package is missing, the folder cannot be written, or the backbone is not
            torchvision's for format=torchvision.
        DataError: there is no picture to compare on.
        CheckpointError: there is no checkpoint, or what was exported does not find what the checkpoint finds.
    """
    own, overrides = split_words(_named(words), _KEYS)
    formats, count, paste = several_of(own, "format", _FORMATS), _count(own), _paste(own)
    if "onnx" in formats:
        needs_onnx()
    source = checkpoint_of(Path(own["checkpoint"]))
    folder = export_folder(source, own.get("output"))
    export = _prepared(source, overrides, own.get("images"), count)
    if "onnx" in formats:
        _export_onnx(export, folder / f"{source.stem}.onnx", paste)
    if "torchvision" in formats:
        _export_torchvision(export, folder / f"{source.stem}.pth")


def _named(words: Sequence[str]) -> list[str]:
    """Let the checkpoint or the run stand without its key."""
    bare = [word for word in words if "=" not in word or Path(word).exists()]
    given = [word for word in words if word.startswith("checkpoint=")]
    if len(bare) + len(given) != 1:
        found = ", ".join([*bare, *given]) or "none"
        raise ConfigError(f"export needs one checkpoint or run folder, got {found}: export RUN [format=onnx].")
    return [f"checkpoint={word}" if word in bare else word for word in words]


def _prepared(source: Path, overrides: Sequence[str], images: str | None, count: int) -> _Export:
    checkpoint = read_checkpoint(source)
    config, _ = config_of(checkpoint, overrides)
    check_or_raise(config)
    console = Console()
    console.print(f"checkpoint: {source}, after epoch {checkpoint.epochs_done}")
    detections = config.model.detections_per_image or max(checkpoint.detections_per_image, _DETECTIONS)
    ours, _ = build_maskrcnn(config.model, len(checkpoint.categories) + 1, detections, load_weights=False)
    load_evaluated(ours, checkpoint, source)
    return _Export(config, checkpoint, detections, ours, pictures_for(config, images, count), console)


def _export_onnx(export: _Export, path: Path, paste: bool) -> None:
    metadata = onnx_metadata(export.checkpoint, export.config.model, paste_masks=paste)
    content = to_onnx(export.plain(), metadata, paste_masks=paste)
    agreement = _compare(export, found_by_onnx(content), paste, "onnxruntime")
    if not agreement.holds:
        raise CheckpointError(
            f"{path.name} is not written: onnxruntime does not find what the checkpoint finds.\n"
            f"  {agreement.line()}\n  needed: {Agreement.tolerances()}\n"
            "A network that decides by a picture's size, as Swin does with its windows, cannot be one graph for all. "
            "format=torchvision exports the weights of torchvision's backbones."
        )
    write_onnx(path, content)
    export.console.print(f"written: {path} ({len(content) / 2**20:.1f} MiB)")


def _export_torchvision(export: _Export, path: Path) -> None:
    model = export.config.model
    if "/" in model.backbone:
        raise ConfigError(
            f"format=torchvision: torchvision has no {model.backbone}, so its MaskRCNN cannot be built for these "
            "weights. Use format=onnx."
        )
    plain = export.plain()
    spec = describe(plain, model, export.checkpoint.categories, export.detections)
    rebuilt = build(spec)
    rebuilt.load_state_dict(plain.state_dict(), strict=True)
    agreement = _compare(export, found_by(rebuilt), True, "torchvision")
    if not agreement.holds:
        raise CheckpointError(
            f"{path.name} is not written: torchvision's network does not find what the checkpoint finds.\n"
            f"  {agreement.line()}\n  needed: {Agreement.tolerances()}"
        )
    for written in write_torchvision(path, plain.state_dict(), spec):
        export.console.print(f"written: {written}")


def _compare(export: _Export, theirs: Callable[[Tensor], Found], paste: bool, name: str) -> Agreement:
    transform: SeededTransform = export.ours.transform
    transform.paste_masks = paste
    ours, total = found_by(export.ours), Agreement()
    with export.console.progress(len(export.pictures), description=f"compare with {name}") as bar:
        for picture in export.pictures:
            total.add(ours(picture), theirs(picture))
            bar.advance()
    export.console.print(f"{name} against the checkpoint: {total.line()}")
    return total


def _count(own: Mapping[str, str]) -> int:
    text = own.get("pictures", str(_PICTURES))
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"pictures={text} must be a whole number ≥ 1.")
    return int(text)


def _paste(own: Mapping[str, str]) -> bool:
    text = own.get("masks", "pasted")
    if text not in ("pasted", "small"):
        raise ConfigError(
            f"masks={text} must be pasted (in the picture's pixels) or small (as the mask head gives them)."
        )
    return text == "pasted"
