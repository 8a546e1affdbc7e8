"""What can be typed: groups, their choices, keys."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskrcnn_exp.schema import TrainConfig

__all__ = ["choices", "choices_by_group", "choices_with", "conf_dir", "did_you_mean", "groups", "known_keys"]


def conf_dir() -> Path:
    """Return the folder of the configuration groups: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def choices_by_group() -> dict[str, list[str]]:
    """Return the groups under `conf/` with their choices."""
    return {group: choices(group) for group in groups()}


def groups() -> list[str]:
    """Return the groups, as `model` and `model/box_head`."""
    root = conf_dir()
    folders = (path.relative_to(root) for path in root.rglob("*") if path.is_dir())
    return sorted(str(folder) for folder in folders if folder.parts[0] != "hydra")


def choices(group: str) -> list[str]:
    """Return the choices of a group."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def choices_with(word: str) -> str:
    """Return the choices of its group that a key belongs to: "clip=per_part", "dataset=coco or voc"; "" for none."""
    from omegaconf import OmegaConf

    from maskrcnn_exp import schema

    group = word.split(".")[0]
    nodes = schema._GROUPS.get(group, {})
    having = [name for name, node in nodes.items() if word in _dotted(group, OmegaConf.structured(node))]
    return f"{group}={' or '.join(having)}" if having and len(nodes) > 1 else ""


def known_keys() -> list[str]:
    """Return the dotted keys of every group's classes."""
    from omegaconf import OmegaConf

    from maskrcnn_exp import schema

    keys = list(TrainConfig.__dataclass_fields__)
    for group, classes in schema._GROUPS.items():
        for node in classes.values():
            keys += _dotted(group, OmegaConf.structured(node))
    return sorted(set(keys))


def _dotted(prefix: str, node: Any) -> list[str]:
    from omegaconf import DictConfig

    keys: list[str] = []
    for name in node:
        child = node._get_node(name)
        dotted = f"{prefix}.{name}"
        keys += _dotted(dotted, child) if isinstance(child, DictConfig) and not child._is_none() else [dotted]
    return keys


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return a question with the nearest of the known words, or "". A key's last part alone means the whole key."""
    ends = [name for name in known if name.rpartition(".")[2] == word]
    near = ends[:3] or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""
