"""Everything a training is made of at one moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.model.parts import LossName, Part
from maskrcnn_exp.optim.clipping import ClipLimits
from maskrcnn_exp.optim.lr_policy import LrPolicy, Schedule
from maskrcnn_exp.optim.param_groups import ParamGroup

__all__ = ["Progress", "TrainState", "build_ema", "is_better"]


@dataclass
class Progress:
    """How far a training is. All counts are of finished things."""

    step: int = 0  # optimiser steps
    epoch: int = 1  # the epoch under way, from 1
    batch: int = 0  # batches done in it
    best_value: float | None = None  # of the monitored tag
    best_epoch: int = 0
    evals_since_best: int = 0
    rollbacks: list[list[int]] = field(default_factory=list)  # [step that was not finite, step gone back to]
    lr_scale: dict[Part, float] = field(default_factory=dict)  # what they left of each part's rate; absent: 1

    def next_epoch(self) -> None:
        self.epoch += 1
        self.batch = 0


@dataclass
class TrainState:
    """The objects that the loop works on. `module` is called, `network` is the model inside it."""

    fabric: Fabric
    module: Any
    network: MaskRCNN
    optimizer: Any
    groups: list[ParamGroup]
    policy: LrPolicy
    schedule: Schedule
    limits: ClipLimits
    loss_weights: dict[LossName, float]
    ema: AveragedModel | None = None
    progress: Progress = field(default_factory=Progress)

    @property
    def evaluated(self) -> MaskRCNN:
        """The weights that validation looks at: the moving average where there is one."""
        if self.ema is None:
            return self.network
        averaged: MaskRCNN = self.ema.module
        return averaged

    @property
    def frozen_parts(self) -> frozenset[Part]:
        """The parts whose multiplier is 0."""
        return frozenset(part for part, mult in self.policy.mult.items() if mult == 0)

    def learning_rates(self) -> dict[Part, float]:
        """Return each part's rate for the next optimiser step."""
        factor = self.schedule.factor(self.progress.step)
        scale = self.progress.lr_scale
        return {part: self.policy.rate(part, factor) * scale.get(part, 1.0) for part in self.policy.mult}

    def non_finite_tensors(self) -> list[str]:
        """Return the names of weights, statistics and averages that hold a NaN or an infinity."""
        averages = {} if self.ema is None else {f"ema.{key}": value for key, value in self.ema.state_dict().items()}
        named = {**self.network.state_dict(), **averages}
        return [name for name, tensor in named.items() if not bool(torch.isfinite(tensor).all())]


def build_ema(network: MaskRCNN, decay: float) -> AveragedModel:
    """Return a moving average of all weights and buffers.

    average ← d · average + (1 - d) · weights, with d = min(decay, (1 + n) / (10 + n)) after n updates, so that a
    short training is not dominated by its initialisation.

    Source: TensorFlow's ExponentialMovingAverage with num_updates.
    """
    return AveragedModel(network, multi_avg_fn=_ema_rule(decay), use_buffers=True)


def _ema_rule(decay: float) -> Callable[[Any, Any, Any], None]:
    @torch.no_grad()
    def update(averages: list[Tensor], weights: list[Tensor], updates: Any) -> None:
        count = float(updates)
        effective = min(decay, (1.0 + count) / (10.0 + count))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, weights, 1.0 - effective)
            return
        for average, weight in zip(averages, weights, strict=True):
            average.copy_(weight)

    return update


def is_better(value: float, best: float | None, mode: str) -> bool:
    """Say whether `value` beats `best` in direction `mode` (max or min); NaN never does."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    return value > best if mode == "max" else value < best
