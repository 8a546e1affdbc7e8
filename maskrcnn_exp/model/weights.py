"""Weights by torchvision's names or from a file, and what does not fit said by key and shape."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import WeightsEnum
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, MaskRCNN_ResNet50_FPN_Weights
from torchvision.models.detection._utils import overwrite_eps

from maskrcnn_exp.errors import CheckpointError, ConfigError
from maskrcnn_exp.model.archive import check_archive
from maskrcnn_exp.schema import ModelConfig

__all__ = [
    "differences",
    "listing",
    "load_backbone_weights",
    "load_network_weights",
    "match_published_eps",
    "read_file",
]

_PREDICTORS = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")
"""Layers whose shape follows the number of classes: fine-tuning starts them anew."""

_CLASSIFIERS = ("fc.", "classifier.", "head.", "norm.")
"""What torchvision's classification networks call the layers after the feature maps."""

_OLD_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""`norm.1.` in the published DenseNet files is `norm1.` in the network."""

_SHOWN = 8  # keys listed in an error before "and n more"


def load_backbone_weights(stages: nn.Sequential, backbone: str, weights: str) -> list[str]:
    """Fill the feature layers and return notes to show.

    Args:
        stages: as `maskrcnn_exp.model.backbone.build_stages` returns them.
        backbone: torchvision's name of the network.
        weights: `imagenet` (IMAGENET1K_V1), the name of another torchvision entry, or a file with a state dict
            under torchvision's classification names.

    Raises:
        ConfigError: torchvision has no such weights for this network.
        CheckpointError: the file is absent, unreadable or does not fit.
    """
    if _is_file_name(weights):
        source, state = weights, read_file(Path(weights))
    else:
        entry = _backbone_entry(backbone, weights)
        source, state = f"torchvision {entry}", _published(entry)
    state = {
        _OLD_DENSE_LAYER.sub(r"\1\2", key.removeprefix("features.").removeprefix("trunk_output.")): value
        for key, value in state.items()
        if not key.startswith(_CLASSIFIERS)
    }
    _fit(stages, state, f"model.backbone_weights={weights}")
    return [f"backbone weights from {source}"]


def match_published_eps(network: nn.Module, model: ModelConfig) -> None:
    """Give the frozen batch norms the eps that the weights of `model.weights` were trained with.

    No state dict holds it, so a network whose weights come from a checkpoint needs it too.
    """
    if not _is_file_name(model.weights) and _network_entry(model) is MaskRCNN_ResNet50_FPN_Weights.COCO_V1:
        overwrite_eps(network, 0.0)  # trained before FrozenBatchNorm2d had an eps


def load_network_weights(network: nn.Module, model: ModelConfig) -> list[str]:
    """Fill the whole network from `model.weights` and return notes to show.

    Predictors whose shape differs because the classes differ keep their fresh initialisation.

    Raises:
        ConfigError: torchvision publishes no weights for this architecture.
        CheckpointError: the file is absent, unreadable or does not fit.
    """
    if _is_file_name(model.weights):
        source, state = model.weights, read_file(Path(model.weights))
    else:
        entry = _network_entry(model)
        source, state = f"torchvision {entry}", _published(entry)
    state = _renamed_v1_keys(state)
    own = network.state_dict()
    fresh = [key for key in state if key.startswith(_PREDICTORS) and key in own and own[key].shape != state[key].shape]
    for key in fresh:
        state[key] = own[key]
    _fit(network, state, f"model.weights={model.weights}")
    notes = [f"weights from {source}"]
    if fresh:
        notes.append("predictors start anew, the classes differ: " + ", ".join(fresh))
    return notes


def read_file(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a torch file: a plain one, or the evaluated weights in a checkpoint of ours.

    Raises:
        CheckpointError: absent, not a torch file, or holding more than tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Give a .pt or .pth file with a state dict.")
    try:
        if zipfile.is_zipfile(path):  # torch's files from before 2020 are none, and keep no sums
            check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes of another format fail anywhere in torch's readers: KeyError, struct.error, …
        raise CheckpointError(
            f"{path}: not a torch file of plain tensors ({_first_line(error)}). "
            "Files that would run code when loaded are refused; save a state dict with torch.save."
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = _evaluated(content)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: expected a state dict (names to tensors), got {type(content).__name__}.")
    return dict(content)


def _evaluated(checkpoint: Mapping[str, Any]) -> Any:
    """Return the weights of a checkpoint that its validation scored: the moving average where there is one."""
    average = checkpoint.get("ema")
    if not isinstance(average, Mapping):
        return checkpoint["model"]
    return {key.removeprefix("module."): value for key, value in average.items() if key != "n_averaged"}


def differences(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Return one line per key that is missing, unknown or of another shape; empty when `state` fits `own`.

    A missing `num_batches_tracked` is not a difference: it only counts, and FrozenBatchNorm2d has none.
    """
    lines = [f"missing: {key} {list(own[key].shape)}" for key in own if key not in state and not _counts(key)]
    lines += [f"unknown: {key} {list(state[key].shape)}" for key in state if key not in own and not _counts(key)]
    lines += [
        f"shape: {key} is {list(state[key].shape)}, the network has {list(own[key].shape)}"
        for key in own
        if key in state and own[key].shape != state[key].shape
    ]
    return lines


def listing(lines: list[str]) -> str:
    """Return the first differences for an error message, and how many there are."""
    more = f"\n  … and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return f"{len(lines)} keys differ:\n  " + "\n  ".join(lines[:_SHOWN]) + more


def _fit(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    own = module.state_dict()
    lines = differences(own, state)
    if lines:
        raise CheckpointError(
            f"{source} does not fit the network, {listing(lines)}\n"
            "Choose the model the weights were saved from (model=…, model.backbone=…)."
        )
    module.load_state_dict({key: value for key, value in state.items() if key in own}, strict=False)


def _counts(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _is_file_name(weights: str) -> bool:
    return "/" in weights or weights.endswith((".pt", ".pth"))


def _backbone_entry(backbone: str, weights: str) -> WeightsEnum:
    entries = torchvision.models.get_model_weights(backbone)
    name = "IMAGENET1K_V1" if weights == "imagenet" else weights
    if name not in entries.__members__:
        raise ConfigError(
            f"model.backbone_weights={weights}: torchvision publishes no such weights for {backbone}. "
            f"It has: {', '.join(entries.__members__) or 'none'}. Or give a file."
        )
    return entries[name]


def _network_entry(model: ModelConfig) -> WeightsEnum:
    published = {
        ("resnet50", 0): MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
        ("resnet50", 4): MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
    }
    entry = published.get((model.backbone, model.box_head.convs))
    if model.weights not in ("coco", "COCO_V1") or entry is None:
        raise ConfigError(
            f"model.weights={model.weights}: torchvision publishes whole Mask R-CNN weights only as `coco`, for "
            "model=resnet50_fpn and model=resnet50_fpn_v2. Give a file, or model.backbone_weights=imagenet."
        )
    return entry


def _published(entry: WeightsEnum) -> dict[str, Tensor]:
    """Read the file from torch hub's cache, or download it there."""
    try:
        state = entry.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
    except Exception as error:  # the network's errors, and all that `read_file` may meet
        name = entry.url.rsplit("/", 1)[-1]
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise CheckpointError(
            f"torchvision {entry}: {name} could not be read or downloaded ({_first_line(error)}). "
            f"Without a network, put the file into {folder}; a damaged file there must be deleted. "
            "Or give the path of a file instead of the name, or none to train from nothing."
        ) from error
    return dict(state)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"


def _renamed_v1_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the names of torchvision < 0.13 heads onto today's, as torchvision's own loaders do."""
    renamed = {}
    for key, value in state.items():
        if key.startswith(("rpn.head.conv.weight", "rpn.head.conv.bias")):
            key = key.replace("conv.", "conv.0.0.")
        for layer in range(1, 5):
            key = key.replace(f"roi_heads.mask_head.mask_fcn{layer}.", f"roi_heads.mask_head.{layer - 1}.0.")
        for position in range(5):
            for kind in ("inner", "layer"):
                for leaf in ("weight", "bias"):
                    old = f"backbone.fpn.{kind}_blocks.{position}.{leaf}"
                    key = f"backbone.fpn.{kind}_blocks.{position}.0.{leaf}" if key == old else key
        renamed[key] = value
    return renamed
