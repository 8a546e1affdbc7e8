"""Optimiser, schedule and clip limits from their configuration."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from maskrcnn_exp.model.parts import PARTS
from maskrcnn_exp.optim.clipping import ClipLimits
from maskrcnn_exp.optim.in_place import InPlaceAdamW, InPlaceSGD, match_layout
from maskrcnn_exp.optim.lr_policy import LrPolicy, Schedule
from maskrcnn_exp.optim.param_groups import ParamGroup
from maskrcnn_exp.schema import (
    AdamWConfig,
    ClipConfig,
    CosineConfig,
    GlobalClipConfig,
    LrConfig,
    MultistepConfig,
    OptimizerConfig,
    PartClipConfig,
    ScheduleConfig,
    SgdConfig,
)

__all__ = ["build_limits", "build_optimizer", "build_policy", "build_schedule"]


def build_policy(lr: LrConfig, default_lr: float) -> LrPolicy:
    """Return the rate of each part; `default_lr` is the base where `lr.base` is null."""
    mult = {part: float(getattr(lr, f"{part}_mult")) for part in PARTS}
    return LrPolicy(base=default_lr if lr.base is None else lr.base, mult=mult)


def build_schedule(schedule: ScheduleConfig, epochs: int, steps_per_epoch: int) -> Schedule:
    """Return the factor on all rates over `epochs` × `steps_per_epoch` optimiser steps."""
    constant = Schedule(
        "constant",
        total_steps=epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        warmup_steps=schedule.warmup_steps,
        warmup_start=schedule.warmup_start,
    )
    if isinstance(schedule, CosineConfig):
        return replace(constant, kind="cosine", final=schedule.final)
    if isinstance(schedule, MultistepConfig):
        return replace(constant, kind="multistep", milestones=tuple(schedule.milestones), gamma=schedule.gamma)
    return constant


def build_limits(clip: ClipConfig) -> ClipLimits:
    """Return the gradient norm limits."""
    if isinstance(clip, GlobalClipConfig):
        return ClipLimits(total=clip.norm)
    if isinstance(clip, PartClipConfig):
        return ClipLimits(parts={part: float(getattr(clip, part)) for part in PARTS})
    return ClipLimits(total=math.inf)


def build_optimizer(
    optimizer: OptimizerConfig, groups: list[ParamGroup], *, fast: bool = True
) -> torch.optim.Optimizer:
    """Return torch's optimiser with one group for each of `groups`, in their order, fused into one kernel.

    `fast` feeds the kernel channels-last weights as they lie in memory; the numbers are the same.
    """
    options = [
        {
            "params": [parameter for _, parameter in group.parameters],
            "lr": group.lr,
            "weight_decay": group.weight_decay,
            "name": group.name,
            "part": group.part,
        }
        for group in groups
    ]
    built: torch.optim.Optimizer
    if isinstance(optimizer, SgdConfig):
        sgd = InPlaceSGD if fast else torch.optim.SGD
        built = sgd(options, momentum=optimizer.momentum, nesterov=optimizer.nesterov, fused=True)
    elif isinstance(optimizer, AdamWConfig):
        betas = (optimizer.beta1, optimizer.beta2)
        adamw = InPlaceAdamW if fast else torch.optim.AdamW
        built = adamw(options, betas=betas, eps=optimizer.eps, fused=True)
    else:
        raise TypeError(type(optimizer).__name__)
    built.register_load_state_dict_post_hook(match_layout)
    return built
