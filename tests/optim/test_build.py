"""Configuration classes become policy, schedule, limits and torch's optimiser."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from torch import Tensor
from torch.nn.parameter import Parameter

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.model.parts import PARTS
from maskrcnn_exp.optim.build import build_limits, build_optimizer, build_policy, build_schedule
from maskrcnn_exp.optim.clipping import ClipLimits
from maskrcnn_exp.optim.lr_policy import Schedule
from maskrcnn_exp.optim.param_groups import ParamGroup
from maskrcnn_exp.schema import (
    AdamWConfig,
    ClipConfig,
    ConstantConfig,
    CosineConfig,
    GlobalClipConfig,
    LrConfig,
    MultistepConfig,
    NoClipConfig,
    OptimizerConfig,
    PartClipConfig,
    ScheduleConfig,
    SgdConfig,
    TrainConfig,
)


def two_groups() -> list[ParamGroup]:
    """One group with a parameter, one without, as a head without norms and biases has it."""
    weight = Parameter(torch.tensor([1.0, 2.0]))
    return [
        ParamGroup("mask/decay", "mask", 0.2, 0.1, [("roi_heads.mask_head.weight", weight)]),
        ParamGroup("mask/no_decay", "mask", 0.2, 0.0, []),
    ]


def composed(*words: str) -> TrainConfig:
    return to_train_config(compose([*words, "run_dir=unused"]))


def test_policy_takes_the_base_that_is_given_or_the_optimisers_own() -> None:
    assert build_policy(LrConfig(base=0.3), default_lr=0.02).base == 0.3
    assert build_policy(LrConfig(), default_lr=0.02).base == 0.02
    assert build_policy(LrConfig(base=0.0), default_lr=0.02).base == 0.0  # not taken for "not given"


def test_each_multiplier_reaches_its_part() -> None:
    config = LrConfig(backbone_mult=0.1, fpn_mult=0.2, rpn_mult=0.3, box_mult=0.4, mask_mult=10)
    assert build_policy(config, 1.0).mult == {"backbone": 0.1, "fpn": 0.2, "rpn": 0.3, "box": 0.4, "mask": 10.0}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ConstantConfig(5, 0.3), Schedule("constant", 60, 10, 5, 0.3)),
        (CosineConfig(5, 0.3, final=0.2), Schedule("cosine", 60, 10, 5, 0.3, final=0.2)),
        (
            MultistepConfig(5, 0.3, milestones=[2, 4], gamma=0.5),
            Schedule("multistep", 60, 10, 5, 0.3, milestones=(2, 4), gamma=0.5),
        ),
    ],
)
def test_schedule_of_each_choice(config: ScheduleConfig, expected: Schedule) -> None:
    assert build_schedule(config, epochs=6, steps_per_epoch=10) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (NoClipConfig(), ClipLimits()),
        (GlobalClipConfig(norm=3.0), ClipLimits(total=3.0)),
        (
            PartClipConfig(backbone=1, fpn=2, rpn=3, box=4, mask=math.inf),
            ClipLimits(parts={"backbone": 1.0, "fpn": 2.0, "rpn": 3.0, "box": 4.0, "mask": math.inf}),
        ),
    ],
)
def test_limits_of_each_choice(config: ClipConfig, expected: ClipLimits) -> None:
    assert build_limits(config) == expected


def test_groups_keep_name_part_rate_decay_and_order() -> None:
    groups = two_groups()
    optimizer = build_optimizer(SgdConfig(momentum=0.8), groups)
    seen = [(g["name"], g["part"], g["lr"], g["weight_decay"]) for g in optimizer.param_groups]
    assert seen == [("mask/decay", "mask", 0.2, 0.1), ("mask/no_decay", "mask", 0.2, 0.0)]
    assert optimizer.param_groups[0]["params"][0] is groups[0].parameters[0][1]
    assert optimizer.param_groups[1]["params"] == []


def test_sgd_takes_two_steps_as_by_hand() -> None:
    groups = two_groups()
    weight = groups[0].parameters[0][1]
    optimizer = build_optimizer(SgdConfig(momentum=0.5), groups)
    for gradient in (1.0, 1.0):
        weight.grad = torch.full((2,), gradient)
        optimizer.step()
    # First number:  v = 1 + 0.1 · 1 = 1.1       w = 1 - 0.2 · 1.1 = 0.78
    #                v = 0.5 · 1.1 + 1 + 0.078 = 1.628   w = 0.78 - 0.2 · 1.628 = 0.4544
    assert weight[0].item() == pytest.approx(0.4544)


def test_nesterov_is_another_step() -> None:
    groups = two_groups()
    weight = groups[0].parameters[0][1]
    weight.grad = torch.ones(2)
    build_optimizer(SgdConfig(momentum=0.5, nesterov=True), groups).step()
    # v = 1.1, step along 1.1 + 0.5 · 1.1 = 1.65
    assert weight[0].item() == pytest.approx(1 - 0.2 * 1.65)


def test_adamw_takes_a_step_as_by_hand() -> None:
    groups = two_groups()
    weight = groups[0].parameters[0][1]
    weight.grad = torch.full((2,), 3.0)
    build_optimizer(AdamWConfig(beta1=0.5, beta2=0.9, eps=1.0), groups).step()
    # Decay: 1 · (1 - 0.2 · 0.1) = 0.98. The first step's unbiased moments are 3 and 9: 0.2 · 3 / (3 + 1) = 0.15
    assert weight[0].item() == pytest.approx(0.98 - 0.15)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("config", [SgdConfig(), AdamWConfig()])
def test_a_checkpoint_of_contiguous_weights_goes_on_with_channels_last_ones(
    config: OptimizerConfig, fast: bool
) -> None:
    """torch's fused kernels read averages in the order of memory, whatever their strides say."""
    values = torch.arange(54.0).view(2, 3, 3, 3)
    gradients = [values - 20, values - 9]

    def training(memory_format: torch.memory_format) -> tuple[Parameter, torch.optim.Optimizer]:
        weight = Parameter(values.to(memory_format=memory_format))
        group = ParamGroup("mask/decay", "mask", 0.2, 0.1, [("roi_heads.mask_head.weight", weight)])
        return weight, build_optimizer(config, [group], fast=fast)

    def step(weight: Parameter, optimizer: torch.optim.Optimizer, gradient: Tensor) -> None:
        weight.grad = torch.empty_like(weight).copy_(gradient)
        optimizer.step()

    (weight, optimizer), (resumed, other) = training(torch.contiguous_format), training(torch.channels_last)
    step(weight, optimizer, gradients[0])
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    with torch.no_grad():
        resumed.copy_(weight)
    step(weight, optimizer, gradients[1])
    step(resumed, other, gradients[1])
    torch.testing.assert_close(resumed, weight, rtol=1e-5, atol=1e-5)


def test_unknown_optimizer_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="OptimizerConfig"):
        build_optimizer(OptimizerConfig(default_lr=1.0), two_groups())


def test_every_choice_of_the_config_groups_is_built() -> None:
    for optimizer in ("sgd", "adamw"):
        config = composed(f"optimizer={optimizer}")
        assert build_policy(config.lr, config.optimizer.default_lr).base > 0
        assert len(build_optimizer(config.optimizer, two_groups()).param_groups) == 2
    for schedule in ("cosine", "multistep", "constant"):
        assert build_schedule(composed(f"schedule={schedule}").schedule, 3, 10).kind == schedule
    assert build_limits(composed("clip=none").clip) == ClipLimits()
    assert build_limits(composed("clip=global", "clip.norm=2").clip) == ClipLimits(total=2.0)
    part_limits = build_limits(composed("clip=per_part", "clip.mask=inf").clip)
    assert [part_limits.of(part) for part in PARTS] == [10.0] * 4 + [math.inf]
