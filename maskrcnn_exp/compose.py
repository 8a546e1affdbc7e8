"""From command-line words to a TrainConfig: where `conf/` lies, and what Hydra's errors mean to a user."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.hydra_version import version_words
from maskrcnn_exp.schema import TrainConfig, register_schema

__all__ = [
    "choices_by_group",
    "compose",
    "compose_yaml",
    "conf_dir",
    "explain",
    "override",
    "refuse_added_keys",
    "to_train_config",
]


def conf_dir() -> Path:
    """Return the folder of the configuration groups: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def compose(overrides: Sequence[str], config_name: str = "train") -> Any:
    """Compose a configuration outside of a Hydra job.

    Raises:
        ConfigError: an override does not parse, or names an unknown key, group or choice.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    register_schema()
    with initialize_config_dir(str(conf_dir()), **version_words()):
        try:
            return hydra_compose(config_name, overrides=list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error) from error


def override(config: Any, word: str) -> None:
    """Change a composed configuration by one word that chooses no group, as composing with it would, and much faster.

    Raises:
        ConfigError: the word does not parse, names an unknown key, or has a value of the wrong type.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides([word]), config)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error) from error


def compose_yaml(overrides: Sequence[str]) -> str:
    """Return the composed configuration as text, values that are still missing as `???`."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(compose(overrides))


def choices_by_group() -> dict[str, list[str]]:
    """Return the groups under `conf/` with their choices."""
    return {group: _choices(group) for group in _groups()}


def to_train_config(config: Any) -> TrainConfig:
    """Return the composed configuration as plain dataclasses.

    Raises:
        ConfigError: a value is missing or of the wrong type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(f"{', '.join(missing)} must be given, as in {missing[0]}=VALUE.")
    try:
        result = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise explain(error) from error
    if not isinstance(result, TrainConfig):
        raise TypeError(type(result).__name__)
    return result


def refuse_added_keys(config: Any) -> None:
    """Refuse keys that nothing reads: Hydra adds whatever is typed with + or ++, so a typo would pass unseen.

    Raises:
        ConfigError: names each of them.
    """
    unknown = _added("", config)
    if unknown:
        raise ConfigError.from_problems(
            [
                f"unknown key {key}, added with + or ++.{_did_you_mean(key, _known_keys())} "
                "`train --cfg job` prints all keys; none of them needs a +."
                for key in unknown
            ]
        )


def _added(prefix: str, node: Any) -> list[str]:
    """Return the dotted keys that the dataclass behind a node does not have."""
    from omegaconf import DictConfig, OmegaConf

    kind: Any = OmegaConf.get_type(node)
    if not dataclasses.is_dataclass(kind):
        return []
    known = {field.name for field in dataclasses.fields(kind)}
    keys: list[str] = []
    for name in node:
        child = node._get_node(name)
        if name not in known:
            keys.append(f"{prefix}{name}")
        elif isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            keys += _added(f"{prefix}{name}.", child)
    return keys


def explain(error: Exception) -> ConfigError:
    """Return a one-message error for what Hydra or OmegaConf says, with the nearest known word for a typo."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__
    text = "\n".join(texts)
    told = _unknown_key(text) or _unknown_choice(text) or _wrong_value(text) or _no_equals(text)
    return ConfigError(told or texts[0].strip())


def _unknown_key(text: str) -> str | None:
    full = re.search(r"full_key: (\S+)", text) or re.search(r"Could not override '([^']+)'", text)
    if full is None or not re.search(
        r"Key '[^']+' (is not in struct|not in '[^']+')|No match in the defaults list", text
    ):
        return None
    word = full.group(1)
    if "/" in word or "." not in word:  # a group is typed without a dot
        return f"unknown config group or key {word}.{_did_you_mean(word, _groups())} Groups: {', '.join(_groups())}."
    if choices := _choices_with(word):
        return f"{word} is a key of {choices}, which is not the choice here: give it, too."
    return f"unknown key {word}.{_did_you_mean(word, _known_keys())} `train --cfg job` prints all keys."


def _unknown_choice(text: str) -> str | None:
    match = re.search(r"Could not (?:find|load) '?([^'\n]+)'?", text)
    if match is None:
        return None
    group, _, choice = match.group(1).rpartition("/")
    known = _choices(group)
    return f"{group}={choice}: no such choice.{_did_you_mean(choice, known)} {group} has: {', '.join(known)}."


def _wrong_value(text: str) -> str | None:
    match = re.search(r"(Value '[^\n]*' [^\n]*(?:could not be|is not a valid)[^\n]*)", text)
    match = match or re.search(r"([^\n]*Missing mandatory value[^\n]*)", text)
    if match is None:
        return None
    full = re.search(r"full_key: (\S+)", text)
    return f"{full.group(1)}: {match.group(1).strip()}." if full else match.group(1).strip()


def _no_equals(text: str) -> str | None:
    match = re.search(r"Error parsing override '([^'=]*)'\s*missing EQUAL", text)
    return f"{match.group(1)}: a word without its value. Type {match.group(1)}=VALUE." if match else None


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""


def _groups() -> list[str]:
    root = conf_dir()
    folders = (path.relative_to(root) for path in root.rglob("*") if path.is_dir())
    return sorted(str(folder) for folder in folders if folder.parts[0] != "hydra")


def _choices(group: str) -> list[str]:
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def _choices_with(word: str) -> str:
    """Return the choices of its group that a key belongs to: "clip=per_part", "dataset=coco or voc"; "" for none."""
    from omegaconf import OmegaConf

    from maskrcnn_exp import schema

    group = word.split(".")[0]
    nodes = schema._GROUPS.get(group, {})
    having = [name for name, node in nodes.items() if word in _dotted(group, OmegaConf.structured(node))]
    return f"{group}={' or '.join(having)}" if having and len(nodes) > 1 else ""


def _known_keys() -> list[str]:
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
