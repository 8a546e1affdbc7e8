"""The class that Hydra calls for `hydra/sweeper=optuna`; the work is done in maskrcnn_exp/sweep."""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

__all__ = ["OptunaSweeper"]


class OptunaSweeper(Sweeper):  # type: ignore[misc] # Hydra carries no types here
    """Thin: keeps the settings, and hands everything to the driver once there is something to sweep."""

    def __init__(self, **keys: Any) -> None:
        """`keys` are those of `OptunaSweeperConf`. Nothing is built yet: samplers belong to the workers."""
        from maskrcnn_exp.sweep.settings import SweeperSettings

        self.settings = SweeperSettings.from_config(keys)
        self._driver: Any = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from maskrcnn_exp.sweep.sweeper import Driver

        self._driver = Driver(self.settings, hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Called by Hydra with the command line's words, Hydra's own settings left out."""
        return self._driver.sweep(arguments)
