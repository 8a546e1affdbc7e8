"""The learning rate of each part: base · multiplier · schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from maskrcnn_exp.model.parts import PARTS, Part

__all__ = ["LrPolicy", "Schedule"]


@dataclass(frozen=True)
class LrPolicy:
    """Multiplier of each part on one base rate.

    `base` is the rate of a part whose multiplier is 1, after warm-up, > 0; a multiplier of 0 freezes the part but
    keeps its groups, so that checkpoints of a sweep have one layout.
    """

    base: float
    mult: dict[Part, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 1.0))

    def rate(self, part: Part, factor: float = 1.0) -> float:
        """Return the part's rate at schedule factor `factor`."""
        return self.base * self.mult[part] * factor


@dataclass(frozen=True)
class Schedule:
    """A factor on every learning rate as a pure function of the optimiser step; it has no state to save.

    Warm-up is linear from `warmup_start` to 1 over `warmup_steps`. After it, `cosine` falls to `final` along half a
    cosine over the remaining steps, `multistep` falls by `gamma` at the end of each of `milestones` (epochs),
    `constant` stays at 1. The same warm-up multiplies every curve.

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2; Loshchilov & Hutter 2017, "SGDR", eq. 5.
    """

    kind: Literal["cosine", "multistep", "constant"]
    total_steps: int
    steps_per_epoch: int
    warmup_steps: int = 0
    warmup_start: float = 0.01
    final: float = 0.0
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1

    def factor(self, step: int) -> float:
        """Return the factor for the optimiser step that follows `step` finished ones; `step` counts from 0."""
        return self._warmup(step) * self._curve(step)

    def _warmup(self, step: int) -> float:
        if step >= self.warmup_steps:
            return 1.0
        return self.warmup_start + (1.0 - self.warmup_start) * step / self.warmup_steps

    def _curve(self, step: int) -> float:
        if self.kind == "constant":
            return 1.0
        if self.kind == "multistep":
            epoch = step // self.steps_per_epoch
            return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)
        done = max(0, step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
