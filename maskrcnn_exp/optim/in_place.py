"""torch's fused optimisers without the copy that they make of channels-last gradients on a CPU.

The fused CPU kernels read weight, gradient and averages as runs of memory, whatever the order of their dimensions. A
gradient that is channels-last is first copied into that order, and the copy is not used: as much traffic as the update
itself, and slower. Permuted views give the same numbers without it.

The kernels do not look at strides: an average in another memory format than its weight is added to wrong numbers
without a word (torch 2.14, aten/src/ATen/native/cpu/FusedSGDKernel.cpp, FusedAdamKernel.cpp). `match_layout` keeps
that from happening after a checkpoint.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

__all__ = ["InPlaceAdamW", "InPlaceSGD", "match_layout"]


def match_layout(optimizer: torch.optim.Optimizer) -> None:
    """Lay averages out in memory as their weights; a checkpoint may hold them in another memory format."""
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.stride() != weight.stride():
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


class InPlaceAdamW(torch.optim.AdamW):
    """AdamW; its state is torch's own, so that checkpoints fit both."""

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> bool:
        has_complex: bool = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        _flatten(*lists)
        return has_complex


class InPlaceSGD(torch.optim.SGD):
    """SGD with momentum and without dampening; its state is torch's own, so that checkpoints fit both."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights. A momentum buffer begins as zeros, so that the first step stores the gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            gradients = [weight.grad for weight in weights]
            buffers: list[Tensor] = []
            if group["momentum"] != 0:
                buffers = [self._buffer(weight) for weight in weights]
            lists = (weights, gradients, buffers)
            _flatten(*lists)
            rules = {
                name: group[name] for name in ("weight_decay", "momentum", "lr", "dampening", "nesterov", "maximize")
            }
            sgd(weights, gradients, buffers, has_sparse_grad=False, foreach=False, fused=True, **rules)  # type: ignore[arg-type]

    def _buffer(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer: Tensor = state["momentum_buffer"]
        return buffer


def _flatten(*lists: list[Tensor]) -> None:
    """Replace the tensors of one weight by permuted views where all of them are channels-last.

    Raises:
        RuntimeError: they lie in different orders, so that the kernel would pair wrong numbers.
    """
    for index in range(len(lists[0])):
        of_weight = [tensors for tensors in lists if index < len(tensors) and tensors[index].dim() == 4]
        if all(tensors[index].is_contiguous(memory_format=torch.channels_last) for tensors in of_weight):
            for tensors in of_weight:
                tensors[index] = tensors[index].permute(0, 2, 3, 1)
        elif not all(tensors[index].is_contiguous() for tensors in of_weight):
            strides = [tensors[index].stride() for tensors in of_weight]
            raise RuntimeError(
                f"a weight of shape {tuple(lists[0][index].shape)}, its gradient and averages lie differently in "
                f"memory: strides {strides}. Give them one memory format."
            )
