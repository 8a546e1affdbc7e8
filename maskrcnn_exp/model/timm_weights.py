"""Pretrained weights of a timm backbone, through timm's own loading, and what does not fit said by key and shape."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from maskrcnn_exp.errors import CheckpointError, ConfigError
from maskrcnn_exp.model.timm_backbone import PREFIX, TimmMaps, timm_module
from maskrcnn_exp.model.weights import differences, listing, read_file

__all__ = ["load_timm_weights", "normalisation_note"]

_SUFFIXES = (".pt", ".pth", ".safetensors")


def load_timm_weights(maps: TimmMaps, backbone: str, weights: str) -> list[str]:
    """Fill the maps' network and return notes to show.

    timm loads the whole classification network, strictly and with its own filters for older files; its layers are
    then handed to the maps. Every parameter of the maps must be among them.

    Args:
        maps: as `timm_maps` returns them.
        backbone: as `timm/convnext_tiny`, or with the tag of its weights, `timm/convnext_tiny.in12k_ft_in1k`.
        weights: `imagenet` for timm's default weights of the network, a tag of others, or a file.

    Raises:
        ConfigError: timm has no such weights for this network.
        CheckpointError: they are absent, unreadable or do not fit.
    """
    timm = timm_module()
    known = backbone.removeprefix(PREFIX)
    if "/" in weights or weights.endswith(_SUFFIXES):
        whole, source = _from_file(timm, known, Path(weights)), weights
    else:
        entry = _entry(timm, known, weights)
        whole, source = _published(timm, entry), f"timm {entry}"
    _hand_over(whole, maps, f"model.backbone_weights={weights}")
    return [f"backbone weights from {source}"]


def normalisation_note(backbone: str, weights: str, mean: list[float], std: list[float]) -> list[str]:
    """Return a note where pictures are normalised otherwise than those that the weights were trained on."""
    known = backbone.removeprefix(PREFIX)
    entry = known if weights == "imagenet" or "/" in weights or weights.endswith(_SUFFIXES) else _tagged(known, weights)
    trained = timm_module().get_pretrained_cfg(entry, allow_unregistered=True)
    if trained is None or (_near(trained.mean, mean) and _near(trained.std, std)):
        return []
    words = [f"model.image_{name}={_typed(values)}" for name, values in (("mean", trained.mean), ("std", trained.std))]
    return [f"the backbone's weights were trained with {' '.join(words)}; this run has {_typed(mean)} {_typed(std)}"]


def _near(trained: tuple[float, ...], own: list[float]) -> bool:
    return all(abs(one - other) < 1e-3 for one, other in zip(trained, own, strict=True))


def _typed(values: tuple[float, ...] | list[float]) -> str:
    return f"[{','.join(f'{value:g}' for value in values)}]"


def _tagged(known: str, tag: str) -> str:
    return f"{known.partition('.')[0]}.{tag}"


def _entry(timm: Any, known: str, weights: str) -> str:
    """Return the name with the tag of the weights."""
    name = known.partition(".")[0]
    entries = timm.list_pretrained(f"{name}.*") + [one for one in timm.list_pretrained(name) if one == name]
    entry = known if weights == "imagenet" else _tagged(known, weights)
    if weights == "imagenet" and "." not in known and entries:
        tag = timm.get_pretrained_cfg(known).tag
        entry = f"{known}.{tag}" if tag else known
    if entry in entries:
        return entry
    tags = [one.partition(".")[2] for one in entries]
    near = difflib.get_close_matches(weights, tags, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(
        f"model.backbone_weights={weights}: timm has no such weights for {name}.{hint} "
        f"It has: {', '.join(['imagenet', *tags]) if tags else 'none'}. Or give a file."
    )


def _published(timm: Any, entry: str) -> nn.Module:
    """Build the whole network with its published weights, from the hub's cache or downloaded there."""
    try:
        network: nn.Module = timm.create_model(entry, pretrained=True)
    except Exception as error:  # the hub's, the network's and torch's errors share no class
        raise CheckpointError(
            f"timm {entry}: the weights could not be read or downloaded ({_first_line(error)}). Without a network, "
            "copy the folder models--timm--… of a machine that has them into the hub's cache (HF_HUB_CACHE, by default "
            "~/.cache/huggingface/hub), give a file (model.backbone_weights=FILE.safetensors), or none."
        ) from error
    return network


def _from_file(timm: Any, known: str, path: Path) -> nn.Module:
    state = _read_safetensors(path) if path.suffix == ".safetensors" else read_file(path)
    classifier = timm.get_pretrained_cfg(known, allow_unregistered=True).classifier or ""
    first = classifier if isinstance(classifier, str) else classifier[0]
    rows = state[f"{first}.weight"].shape[0] if f"{first}.weight" in state else 0  # 0: saved without a classifier
    overlay = {"state_dict": state, "num_classes": rows, "custom_load": False}
    try:
        network: nn.Module = timm.create_model(known, pretrained=True, num_classes=rows, pretrained_cfg_overlay=overlay)
    except (RuntimeError, KeyError, ValueError) as error:
        own = timm.create_model(known, num_classes=rows).state_dict()
        lines = differences(own, state)
        said = listing(lines) if lines else _first_line(error)
        raise CheckpointError(
            f"model.backbone_weights={path} does not fit {PREFIX}{known}, {said}\n"
            "Choose the network that the weights were saved from (model.backbone=…)."
        ) from error
    return network


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Give a .safetensors, .pt or .pth file with a state dict.")
    try:
        state: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a whole safetensors file ({_first_line(error)}).") from error
    return state


def _hand_over(whole: nn.Module, maps: TimmMaps, source: str) -> None:
    """Copy the layers that the maps have; timm writes stages.0 as stages_0 where it cuts a network to its maps."""
    given = {key.replace(".", "_"): value for key, value in whole.state_dict().items()}
    own = maps.net.state_dict()
    names = {key: key.removeprefix("model.").replace(".", "_") for key in own}
    state = {key: given[name] for key, name in names.items() if name in given}
    lines = differences(own, state)
    if lines:
        raise CheckpointError(f"{source} does not fit the network, {listing(lines)}")
    maps.net.load_state_dict(state, strict=False)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
