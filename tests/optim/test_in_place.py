"""Optimisers without copies against torch's fused ones: the same bits, the same state, checkpoints that fit both."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.parameter import Parameter

from maskrcnn_exp.optim.in_place import InPlaceAdamW, InPlaceSGD, match_layout

SHAPES = [(6, 5, 3, 3), (16, 8, 3, 3), (4, 6, 1, 1), (7,), (3, 4), (5, 4, 7, 7)]
"""Convolutions of 3 × 3, 1 × 1 and 7 × 7, a bias, a fully connected layer."""

FROZEN = 1
"""The weight that never gets a gradient."""

Build = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


def building(kind: type[torch.optim.Optimizer], options: dict[str, Any]) -> Build:
    """As `build_optimizer` builds it."""

    def build(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        optimizer = kind(groups, fused=True, **options)  # type: ignore[call-arg]
        optimizer.register_load_state_dict_post_hook(match_layout)
        return optimizer

    return build


OPTIMIZERS: dict[str, tuple[Build, Build]] = {
    name: (building(ours, options), building(theirs, options))
    for name, ours, theirs, options in [
        ("adamw", InPlaceAdamW, torch.optim.AdamW, {"lr": 0.1, "betas": (0.8, 0.95)}),
        ("amsgrad", InPlaceAdamW, torch.optim.AdamW, {"lr": 0.1, "amsgrad": True}),
        ("sgd", InPlaceSGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        ("nesterov", InPlaceSGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("sgd without momentum", InPlaceSGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.0}),
    ]
}
each_optimizer = pytest.mark.parametrize("name", list(OPTIMIZERS))


def as_laid_out(value: Tensor, layout: str, index: int) -> Tensor:
    channels_last = layout == "channels_last" or (layout == "mixed" and index % 2 == 0)
    if value.dim() != 4 or not channels_last:
        return value.contiguous()
    return value.contiguous(memory_format=torch.channels_last)


class Training:
    """Weights that see the same gradients whatever their layout and their optimiser."""

    def __init__(self, build: Build, layout: str) -> None:
        generator = torch.Generator().manual_seed(0)
        values = [torch.randn(shape, generator=generator) for shape in SHAPES]
        self.layout = layout
        self.weights = [Parameter(as_laid_out(value, layout, index)) for index, value in enumerate(values)]
        decayed, free = self.weights[:3], self.weights[3:]
        self.optimizer = build([{"params": decayed, "weight_decay": 0.1}, {"params": free, "weight_decay": 0.0}])
        self.steps = 0

    def run(self, steps: int, gradients: str | None = None) -> Training:
        """Take steps with gradients in the layout of the weights, or in another one."""
        for _ in range(steps):
            self.steps += 1
            generator = torch.Generator().manual_seed(self.steps)
            for index, weight in enumerate(self.weights):
                gradient = torch.randn(weight.shape, generator=generator)
                layout = self.layout if gradients is None else gradients
                weight.grad = None if index == FROZEN else as_laid_out(gradient, layout, index)
            self.optimizer.step()
        return self


def assert_same(ours: Training, theirs: Training, tolerance: float = 0.0) -> None:
    """Weights, averages and options; without a tolerance to the bit."""
    torch.testing.assert_close(ours.weights, theirs.weights, rtol=tolerance, atol=tolerance)
    found, expected = ours.optimizer.state_dict(), theirs.optimizer.state_dict()
    assert found["state"].keys() == expected["state"].keys()
    for index, state in expected["state"].items():
        assert found["state"][index].keys() == state.keys()
        torch.testing.assert_close(found["state"][index], state, rtol=tolerance, atol=tolerance)
    assert found["param_groups"] == expected["param_groups"]


@pytest.mark.parametrize("layout", ["channels_last", "contiguous", "mixed"])
@each_optimizer
def test_steps_are_torchs_to_the_bit(name: str, layout: str) -> None:
    ours, theirs = (Training(build, layout) for build in OPTIMIZERS[name])
    before = [weight.detach().clone() for weight in ours.weights]
    for _ in range(4):
        assert_same(ours.run(1), theirs.run(1))
    moved = [not torch.equal(weight, first) for weight, first in zip(ours.weights, before, strict=True)]
    assert moved == [index != FROZEN for index in range(len(SHAPES))]


@pytest.mark.parametrize(("saved", "loaded"), [("contiguous", "channels_last"), ("channels_last", "contiguous")])
@pytest.mark.parametrize(("first", "then"), [("torch's", "ours"), ("ours", "torch's"), ("torch's", "torch's")])
@each_optimizer
def test_a_checkpoint_of_either_goes_on_in_the_other_in_any_memory_format(
    name: str, saved: str, loaded: str, first: str, then: str
) -> None:
    builders = dict(zip(("ours", "torch's"), OPTIMIZERS[name], strict=True))
    begun, resumed = Training(builders[first], saved).run(2), Training(builders[then], loaded)
    resumed.steps = begun.steps
    resumed.optimizer.load_state_dict(deepcopy(begun.optimizer.state_dict()))
    with torch.no_grad():
        for weight, value in zip(resumed.weights, begun.weights, strict=True):
            weight.copy_(value)
    # The kernel rounds the last numbers of a run of memory, too few for a vector, otherwise than the others.
    assert_same(resumed.run(2), begun.run(2), tolerance=1e-5)


@each_optimizer
def test_layouts_that_differ_are_refused(name: str) -> None:
    """torch's kernel would pair each weight with the gradient of another one."""
    training = Training(OPTIMIZERS[name][0], "channels_last")
    with pytest.raises(RuntimeError, match=r"shape \(6, 5, 3, 3\).*lie differently in memory"):
        training.run(1, "contiguous")


@each_optimizer
def test_a_weight_that_learns_later_joins_in(name: str) -> None:
    """torch's fused SGD refuses to mix weights with and without a momentum buffer."""
    training = Training(OPTIMIZERS[name][0], "channels_last").run(1)
    late = training.weights[FROZEN]
    late.grad = torch.ones_like(late)
    before = late.detach().clone()
    training.optimizer.step()
    assert (late < before).all()


@each_optimizer
def test_state_keeps_shape_and_memory_format_of_its_weight(name: str) -> None:
    training = Training(OPTIMIZERS[name][0], "channels_last").run(2)
    for weight in training.weights:
        for value in training.optimizer.state[weight].values():
            if value.dim() == 4:
                assert value.shape == weight.shape
                assert value.stride() == weight.stride()


@pytest.mark.parametrize(("name", "kernel"), [("adamw", "_fused_adamw_"), ("nesterov", "_fused_sgd_")])
def test_the_kernel_gets_channels_last_weights_as_one_run_of_memory(
    name: str, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not contiguous it copies, updates and copies back."""
    seen: list[list[Tensor]] = []
    fused = getattr(torch, kernel)

    def remember(*lists: list[Tensor], **options: Any) -> None:
        seen.extend(lists)
        fused(*lists, **options)

    monkeypatch.setattr(torch, kernel, remember)
    training = Training(OPTIMIZERS[name][0], "channels_last").run(1)
    assert len(seen) >= 3 * 2  # weights, gradients and averages of two groups
    assert all(tensor.is_contiguous() for tensors in seen for tensor in tensors)
    pointers = {weight.data_ptr() for index, weight in enumerate(training.weights) if index != FROZEN}
    assert pointers <= {tensor.data_ptr() for tensors in seen for tensor in tensors}
