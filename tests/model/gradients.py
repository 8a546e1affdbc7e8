"""What a module gives and what flows back, for holding one module against another."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def with_gradients(module: nn.Module, x: Tensor, mixed: bool = False) -> dict[str, Tensor]:
    """The output, and the gradients of x and of the parameters for output gradients that differ from cell to cell."""
    x = x.detach().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        out = module(x)
    outer = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    named = {"x": x, **dict(module.named_parameters())}
    grads = torch.autograd.grad((out.float() * outer).sum(), list(named.values()))
    return {"out": out, **dict(zip(named, grads, strict=True))}
