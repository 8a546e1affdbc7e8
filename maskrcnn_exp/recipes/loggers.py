"""The loggers of a run, as the configuration chooses them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from maskrcnn_exp.record.csv_sink import CsvSink
from maskrcnn_exp.record.sinks import GuardedSink
from maskrcnn_exp.schema import LoggerConfig

__all__ = ["open_sinks"]


def open_sinks(logger: LoggerConfig, folder: Path, config_yaml: str, warn: Callable[[str], None]) -> list[GuardedSink]:
    """Open what the configuration asks for beside TensorBoard; what cannot be opened warns and stays silent.

    Args:
        folder: The run's; its record is open.
        config_yaml: The composed configuration, without passwords.
    """
    openers: dict[str, Callable[[], Any]] = {}
    if logger.csv.enabled:
        openers["csv"] = partial(CsvSink, folder)
    config = yaml.safe_load(config_yaml)
    if logger.wandb.enabled:
        openers["wandb"] = partial(_wandb, logger, folder, config)
    if logger.mlflow.enabled:
        openers["mlflow"] = partial(_mlflow, logger, folder, config)
    return [GuardedSink(name, opener, warn) for name, opener in openers.items()]


def _wandb(logger: LoggerConfig, folder: Path, config: dict[str, Any]) -> Any:
    from maskrcnn_exp.record.wandb_sink import WandbSink

    chosen = logger.wandb
    return WandbSink(folder, config, project=chosen.project, entity=chosen.entity, name=chosen.name, mode=chosen.mode)


def _mlflow(logger: LoggerConfig, folder: Path, config: dict[str, Any]) -> Any:
    from maskrcnn_exp.record.mlflow_sink import MlflowSink

    chosen = logger.mlflow
    return MlflowSink(folder, config, tracking_uri=chosen.tracking_uri, experiment=chosen.experiment, name=chosen.name)
