"""A training of seconds: one epoch is six steps of a network with 16 channels on 64-pixel shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.recipes.train import RunSettings, run
from maskrcnn_exp.schema import TrainConfig

SMALL = (
    "dataset.train_size=24",
    "dataset.val_size=6",
    "dataset.image_size=64",
    "dataset.min_radius=0.15",
    "model.fpn_channels=16",
    "model.min_size=[64]",
    "model.max_size=64",
    "model.box_head.width=32",
    "model.mask_head.width=16",
    "model.mask_head.depth=1",
    "model.box_head.batch_size_per_image=16",
    "trainer=cpu",
    "trainer.batch_size=4",
    "trainer.epochs=2",
    "trainer.log_every_steps=1",
    "trainer.num_workers=0",
    "schedule.warmup_steps=3",
)
"""Overrides that every test of a whole training starts from."""


@pytest.fixture
def small_overrides() -> tuple[str, ...]:
    return SMALL


@pytest.fixture
def train_small(tmp_path: Path) -> Callable[..., float | None]:
    """Return a function that trains in this process: `train_small("lr.base=1", folder="a")`."""

    def train(*overrides: str, folder: str = "run") -> float | None:
        config, settings = settings_for(tmp_path / folder, *overrides)
        return run(config, settings)

    return train


def settings_for(folder: Path, *overrides: str) -> tuple[TrainConfig, RunSettings]:
    """Return what the command line would hand to the recipe."""
    from omegaconf import OmegaConf

    words = (*SMALL, *overrides)
    composed = compose([*words, f"run_dir={folder}"])
    settings = RunSettings(folder=folder, config_yaml=OmegaConf.to_yaml(composed, resolve=True), overrides=words)
    folder.mkdir(parents=True, exist_ok=True)
    return to_train_config(composed), settings
