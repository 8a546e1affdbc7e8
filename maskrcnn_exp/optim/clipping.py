"""Gradient norms per part, and clipping by one limit for all or by one limit per part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.parameter import Parameter

from maskrcnn_exp.model.parts import PARTS, Part

__all__ = ["ClipLimits", "clip_parts", "norm_of", "part_norms"]


@dataclass(frozen=True)
class ClipLimits:
    """Largest allowed gradient norm: over all parts together, and of each part. `inf` does not clip."""

    total: float = math.inf
    parts: dict[Part, float] | None = None

    def of(self, part: Part) -> float:
        """Return the limit that is printed for a part."""
        return self.total if self.parts is None else self.parts[part]


def part_norms(parameters: dict[Part, list[Parameter]]) -> Tensor:
    """Return the L2 norm of each part's gradient: float32 [parts], in the order of PARTS; 0 where there is none."""
    gradients = {part: [p.grad for p in parameters[part] if p.grad is not None] for part in PARTS}
    # A frozen part has no gradient to tell the device; norms of two devices do not stack.
    device = next((some[0].device for some in gradients.values() if some), None)
    return torch.stack([norm_of(gradients[part], device) for part in PARTS])


def norm_of(tensors: list[Tensor], device: torch.device | None) -> Tensor:
    """Return the L2 norm of all elements of all tensors: float32 []; 0 on `device` where there are no tensors."""
    if not tensors:
        return torch.zeros((), device=device)
    if tensors[0].device.type != "cpu":
        norm: Tensor = torch.nn.utils.get_total_norm(tensors)
        return norm.float()
    # On a CPU torch's norm reads at half the memory's speed; a product with itself reads at all of it.
    return torch.stack([_square(tensor) for tensor in tensors]).sum().sqrt().float()


def _square(tensor: Tensor) -> Tensor:
    """Return the sum of squares; a gradient is one run of memory, in whatever order its dimensions lie."""
    flat = torch.as_strided(tensor, (tensor.numel(),), (1,)) if _is_dense(tensor) else tensor.reshape(-1)
    return torch.dot(flat, flat)


def _is_dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


@torch.no_grad()
def clip_parts(parameters: dict[Part, list[Parameter]], norms: Tensor, limits: ClipLimits) -> dict[Part, bool]:
    """Scale the gradients down to their limits, in place, and say which parts were scaled.

    scale = limit / norm where norm > limit, else 1

    Args:
        parameters: Each part's parameters.
        norms: What `part_norms` returned for them; finite.
        limits: With a limit on the total, all parts are scaled alike.
    """
    values: list[float] = norms.tolist()
    if limits.parts is None:
        total = math.sqrt(math.fsum(value * value for value in values))
        scales = [limits.total / total if total > limits.total else 1.0] * len(PARTS)
    else:
        scales = [
            limits.parts[part] / value if value > limits.parts[part] else 1.0
            for part, value in zip(PARTS, values, strict=True)
        ]
    for part, scale in zip(PARTS, scales, strict=True):
        gradients = [p.grad for p in parameters[part] if p.grad is not None]
        if scale < 1.0 and gradients:
            torch._foreach_mul_(gradients, scale)
    return {part: scale < 1.0 and value > 0 for part, scale, value in zip(PARTS, scales, values, strict=True)}
