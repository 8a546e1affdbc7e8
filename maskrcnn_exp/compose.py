"""From command-line words to a TrainConfig."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from maskrcnn_exp.config_errors import explain, refuse_strange_words
from maskrcnn_exp.config_names import conf_dir, did_you_mean, known_keys
from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.hydra_version import version_words
from maskrcnn_exp.schema import TrainConfig, register_schema

__all__ = ["compose", "compose_yaml", "override", "refuse_added_keys", "to_train_config"]


def compose(overrides: Sequence[str], config_name: str = "train") -> Any:
    """Compose a configuration outside of a Hydra job.

    Raises:
        ConfigError: an override does not parse, or names an unknown key, group or choice.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    refuse_strange_words(overrides)
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
                f"unknown key {key}, added with + or ++.{did_you_mean(key, known_keys())} "
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
