"""Sets of versions that must work, and what is run with each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["EXTRAS", "SETS", "SHOWN", "TESTS", "VersionSet"]


@dataclass(frozen=True)
class VersionSet:
    """One environment: a Python, and how versions are chosen within the bounds of pyproject.toml."""

    name: str
    python: str
    resolution: Literal["highest", "lowest-direct"] = "highest"
    requirements: tuple[str, ...] = ()  # beside the project's own; naming a pre-release here admits pre-releases


SETS: Final = (
    VersionSet("lowest", "3.11", "lowest-direct"),
    VersionSet("newest", "3.11"),
    VersionSet("hydra-1.4", "3.11", requirements=("hydra-core>=1.4.0rc1", "omegaconf>=2.4.1rc1")),
    VersionSet("optuna-4", "3.11", requirements=("optuna<5",)),
    VersionSet("python-3.12", "3.12"),
    VersionSet("python-3.13", "3.13"),
)

EXTRAS: Final = ("dev", "postgresql", "joblib", "submitit", "samplers", "timm", "wandb", "mlflow", "export")

SHOWN: Final = ("torch", "torchvision", "hydra-core", "omegaconf", "optuna", "numpy", "pillow")
"""Packages whose versions stand in the table."""

TESTS: Final = (
    "tests/cli",  # Hydra and OmegaConf: what is composed, and what a typo is answered with
    "tests/torture/test_malicious_config.py",  # the guard wraps a method of Hydra's own
    "tests/sweep",  # Hydra's plugins, launchers and grammar; Optuna
    "tests/model",  # torch, torchvision, timm
    "tests/optim",
    "tests/engine",  # Fabric, pycocotools, onnx
    "tests/record",  # TensorBoard
    "tests/recipes",  # wandb, MLflow, whole trainings
)
"""Tests in which other people's code is called; those that train for minutes are left out."""
