"""The configuration of a run again, from its checkpoint, with a user's changes on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.engine.checkpoint import Checkpoint
from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.override_keys import bare_key
from maskrcnn_exp.schema import ModelConfig, TrainConfig

__all__ = ["config_of"]

_ARCHITECTURE_MAY_CHANGE = ("min_size", "max_size", "score_threshold", "detections_per_image")
"""Model keys that evaluation may override: they leave every weight where it is."""


def config_of(checkpoint: Checkpoint, overrides: Sequence[str]) -> tuple[TrainConfig, str]:
    """Return the checkpoint's configuration with `overrides` on top, also as YAML.

    What the user typed then is composed again with what is typed now, so that groups can be exchanged; the model is
    the checkpoint's own, except for keys that leave its weights where they are.

    Raises:
        ConfigError: an override does not exist, or would change the network.
    """
    from omegaconf import OmegaConf

    for word in overrides:
        key = bare_key(word)
        if key.split("/")[0] == "model" or (key.startswith("model.") and key[6:] not in _ARCHITECTURE_MAY_CHANGE):
            allowed = ", ".join(f"model.{name}" for name in _ARCHITECTURE_MAY_CHANGE)
            raise ConfigError(f"{word}: the network is the checkpoint's. Of the model only {allowed} can change.")
    config: Any = compose([*checkpoint.overrides, *overrides])
    saved = OmegaConf.create(checkpoint.config)
    model = OmegaConf.merge(OmegaConf.structured(ModelConfig), saved.model)
    for word in overrides:
        key = word.partition("=")[0].lstrip("+")
        if key.startswith("model."):
            OmegaConf.update(model, key[6:], OmegaConf.select(config, key))
    config.model = model
    return to_train_config(config), OmegaConf.to_yaml(config, resolve=True)
