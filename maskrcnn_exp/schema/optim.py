"""Keys of the optimisation: rates, optimisers, schedules, limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

__all__ = [
    "AdamWConfig",
    "ClipConfig",
    "ConstantConfig",
    "CosineConfig",
    "GlobalClipConfig",
    "LrConfig",
    "MultistepConfig",
    "NoClipConfig",
    "OptimizerConfig",
    "PartClipConfig",
    "ScheduleConfig",
    "SgdConfig",
]


@dataclass
class LrConfig:
    """Learning rate of part p = base · p_mult · schedule(step). A multiplier of 0 freezes the part."""

    base: float | None = None  # null: the optimizer's own default_lr
    backbone_mult: float = 1.0
    fpn_mult: float = 1.0
    rpn_mult: float = 1.0
    box_mult: float = 1.0
    mask_mult: float = 1.0


@dataclass
class OptimizerConfig:
    """What every optimizer has."""

    default_lr: float = MISSING  # learning rate where lr.base is null
    weight_decay: float = 0.0  # of weights; norm layers and biases get none


@dataclass
class SgdConfig(OptimizerConfig):
    """torch.optim.SGD."""

    default_lr: float = 0.02  # at batch 16, the published recipes' rate
    weight_decay: float = 1e-4
    momentum: float = 0.9
    nesterov: bool = False


@dataclass
class AdamWConfig(OptimizerConfig):
    """torch.optim.AdamW."""

    default_lr: float = 1e-3
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8


@dataclass
class ScheduleConfig:
    """Warm-up is linear in steps; the curve after it is in epochs."""

    warmup_steps: int = 100  # optimiser steps
    warmup_start: float = 0.01  # factor at the first step


@dataclass
class CosineConfig(ScheduleConfig):
    """Half a cosine from 1 to `final`."""

    final: float = 0.01  # factor at the end


@dataclass
class MultistepConfig(ScheduleConfig):
    """Falls by `gamma` after each of `milestones`."""

    milestones: list[int] = field(default_factory=lambda: [8, 11])  # epochs
    gamma: float = 0.1


@dataclass
class ConstantConfig(ScheduleConfig):
    """Stays at 1 after the warm-up."""


@dataclass
class ClipConfig:
    """Gradient clipping by norm. Norms are logged whatever is chosen."""


@dataclass
class NoClipConfig(ClipConfig):
    """No clipping."""


@dataclass
class GlobalClipConfig(ClipConfig):
    """One limit for the norm over all parts."""

    norm: float = 10.0  # > 0; inf logs without clipping


@dataclass
class PartClipConfig(ClipConfig):
    """One limit for each part's own norm; inf logs without clipping."""

    backbone: float = 10.0
    fpn: float = 10.0
    rpn: float = 10.0
    box: float = 10.0
    mask: float = 10.0
