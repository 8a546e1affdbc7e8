"""Which part of the network a step that is not finite is laid to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

from maskrcnn_exp.engine.loop import StepRecord
from maskrcnn_exp.model.parts import LOSS_OWNER, LOSSES, PARTS, LossName, Part, part_of

__all__ = ["parts_at_fault"]

_OWNED: Final[dict[Part, tuple[LossName, ...]]] = {
    part: tuple(name for name in LOSSES if LOSS_OWNER[name] == part) for part in PARTS if part in LOSS_OWNER.values()
}
_GROWN: Final = 4.0
"""A head's losses at the last finite step over their median before it: from here on it was running away."""


def parts_at_fault(steps: Sequence[StepRecord], tensors: Sequence[str] = ()) -> tuple[Part, ...]:
    """Return the parts whose learning rate is too high, judged by the last steps; the last one is not finite.

    0. Where weights are not finite: the parts that they belong to.
    1. The heads that own a non-finite loss, unless all three do: what is bad in one head stays there for a step.
    2. Where all three do, or none: the heads with a non-finite gradient norm, unless all three have one.
    3. Else the head whose losses grew most, by a factor of 4 or more, over the median of the steps before: its
       gradient has ruined what all heads share.
    4. Else, with finite losses, what is shared and has a non-finite gradient norm.
    5. Else nothing stands out: all parts.

    Args:
        steps: Oldest first, at least one.
        tensors: Names of the network's tensors that are not finite after the last step.
    """
    if tensors:
        owners = {part_of(name.removeprefix("ema.").removeprefix("module.")) for name in tensors}
        return tuple(part for part in PARTS if part in owners)
    *before, bad = steps
    by_loss = [part for part, names in _OWNED.items() if not all(math.isfinite(bad.losses[name]) for name in names)]
    by_norm = [part for part in _OWNED if not math.isfinite(bad.grad_norm[part])]
    for heads in (by_loss, by_norm):
        if 0 < len(heads) < len(_OWNED):
            return tuple(heads)
    growth = {part: _growth(before, names) for part, names in _OWNED.items()}
    wildest = max(growth, key=lambda part: growth[part])
    if growth[wildest] >= _GROWN:
        return (wildest,)
    shared = tuple(part for part in PARTS if part not in _OWNED and not math.isfinite(bad.grad_norm[part]))
    return shared if shared and not by_loss and not by_norm else PARTS


def _growth(before: Sequence[StepRecord], names: Sequence[LossName]) -> float:
    sums = [math.fsum(record.losses[name] for name in names) for record in before]
    if len(sums) < 2:
        return 0.0
    usual = median(sums[:-1])
    return sums[-1] / usual if usual > 0 else 0.0
