"""A run as the rules see it: one value per epoch for each tag, what the configuration says, what follows of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.facts import RunFacts
from maskrcnn_exp.diagnose.trends import finite, median
from maskrcnn_exp.model.parts import LOSSES, PARTS, Part
from maskrcnn_exp.record import tags

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from maskrcnn_exp.diagnose.trends import Curve

__all__ = ["HEADS", "BadValue", "Crash", "Curves", "Points"]

Points = Mapping[str, Mapping[int, float]]
"""Tag → epoch or step → value."""

HEADS: Final[tuple[Part, ...]] = ("rpn", "box", "mask")
"""The parts that have losses of their own."""


@dataclass(frozen=True)
class BadValue:
    """A recorded value that is NaN or infinite."""

    tag: str
    at: int
    value: float


@dataclass(frozen=True)
class Crash:
    """A step whose loss or gradient was not finite, from the run's black box."""

    folder: Path
    step: int
    epoch: int
    cause: str  # such as "loss_mask = nan"
    image_ids: tuple[Any, ...]  # of the step's pictures
    steps: tuple[Mapping[str, Any], ...]  # the last steps, that one included: losses, grad_norm, lr


@dataclass(frozen=True)
class Curves:
    """Everything the rules may look at. A tag that was not recorded reads as NaN throughout."""

    name: str  # as shown to the user
    at: NDArray[np.int64]  # [E], the epochs, rising; or the last step of each window of a log without epochs
    values: Mapping[str, Curve]  # tag → [E]
    facts: RunFacts = field(default_factory=RunFacts)
    steps: Mapping[str, tuple[NDArray[np.int64], Curve]] = field(default_factory=dict)  # step/… tag → steps, values
    bad: tuple[BadValue, ...] = ()
    crash: Crash | None = None
    unit: Literal["epoch", "step"] = "epoch"

    @classmethod
    def of_points(cls, name: str, points: Points, *, step_points: Points | None = None, **known: Any) -> Curves:
        """Lay points on a common axis: every epoch that has one.

        Args:
            points: Tag → epoch → value; NaN and infinity are kept apart as `bad`.
            step_points: The same by optimiser step.
            known: Other fields.
        """
        at = np.array(sorted({epoch for by_epoch in points.values() for epoch in by_epoch}), dtype=np.int64)
        index = {int(epoch): place for place, epoch in enumerate(at)}
        values: dict[str, Curve] = {}
        for tag, by_epoch in points.items():
            curve = np.full(len(at), np.nan)
            for epoch, value in by_epoch.items():
                curve[index[epoch]] = value if math.isfinite(value) else np.nan
            values[tag] = curve
        steps = {tag: _series(by_step) for tag, by_step in (step_points or {}).items()}
        bad = _bad_values(points) or _bad_values(step_points or {})
        return cls(name=name, at=at, values=values, steps=steps, bad=tuple(bad), **known)

    def __len__(self) -> int:
        """Number of epochs."""
        return len(self.at)

    def __getitem__(self, tag: str) -> Curve:
        """Return a tag's values [E]."""
        return self.values[tag] if tag in self.values else np.full(len(self.at), np.nan)

    def has(self, *names: str) -> bool:
        """Say whether each of the tags has at least one known value."""
        return all(bool(np.isfinite(self[name]).any()) for name in names)

    def train(self, loss: str) -> Curve:
        return self[tags.train_loss_tag(loss)]

    def val(self, loss: str) -> Curve:
        return self[tags.val_loss_tag(loss)]

    def ap(self, kind: Literal["bbox", "segm"], metric: str = "AP") -> Curve:
        return self[tags.map_tag(kind, metric)]

    def epoch(self, index: int) -> int:
        """Return the epoch at a place of the axis; 0 on an empty one."""
        return int(self.at[index]) if len(self.at) else 0

    @property
    def done(self) -> float | None:
        """Share of the planned epochs that is over; None where the plan is unknown."""
        return None if not self.facts.epochs or not len(self.at) else self.epoch(-1) / self.facts.epochs

    @cached_property
    def steps_per_epoch(self) -> float | None:
        """Optimiser steps; None where nothing tells."""
        if self.has("time/epoch_s", "time/step_s"):
            return max(1.0, median(self["time/epoch_s"] / self["time/step_s"]))
        recorded = [int(at[-1]) for at, _ in self.steps.values() if len(at)]
        return max(recorded) / self.epoch(-1) if recorded and len(self.at) else None

    @cached_property
    def warmup(self) -> float:
        """Epochs of the learning rate's warm-up; from its curve where the configuration is unknown."""
        if self.facts.own and self.steps_per_epoch:
            return self.facts.warmup_steps / self.steps_per_epoch
        rates = self[tags.lr_tag("mask")]
        if not np.isfinite(rates).any() or np.nanmax(rates) <= 0:
            return 0.0
        return float(np.flatnonzero(rates >= limits.WARM * np.nanmax(rates))[0])

    @cached_property
    def settled(self) -> int:
        """Place of the first epoch whose losses may be judged: after the warm-up, and never the very first."""
        return max(1, math.ceil(self.warmup - limits.WARMUP_SLACK))

    def after_warmup(self, tag: str) -> Curve:
        """Return a tag's values from the first settled epoch on."""
        return self[tag][self.settled :]

    def update_ratio(self, part: Part) -> float:
        """Return ‖Δw‖ / ‖w‖ per step of a part at its full learning rate; NaN where it was not recorded.

        The median over the epochs; one in mid-warm-up counts as it would at the full rate.
        """
        ratios, rates = self[tags.update_ratio_tag(part)], self[tags.lr_tag(part)]
        full = self.facts.lr(part)
        top = full if full else (float(np.nanmax(rates)) if np.isfinite(rates).any() else math.nan)
        if not top or not math.isfinite(top):
            return median(ratios)
        share = rates / top
        usable = np.isfinite(ratios) & (share >= limits.LEAST_RATE)
        usable[:1] &= usable[1:].sum() == 0  # the first epoch only where there is no other
        scaled = ratios[usable] / np.clip(share[usable], 1 / limits.LARGEST_RESCALE, 1.0)
        return median(scaled)

    def pace(self, head: Part) -> float:
        """Return a head's update ratio in units of a healthy run's; NaN where it was not recorded."""
        return self.update_ratio(head) / limits.PACE[head]

    def others(self, head: Part) -> tuple[Part, ...]:
        """Return the other heads that move at all."""
        return tuple(other for other in HEADS if other != head and self.update_ratio(other) > limits.FROZEN)

    def times_behind(self, head: Part) -> float:
        """Return the other heads' update ratios (geometric mean) over a head's own; NaN where they are unknown."""
        ratios = [self.update_ratio(other) for other in self.others(head)]
        return math.prod(ratios) ** (1 / len(ratios)) / self.update_ratio(head) if ratios else math.nan

    @cached_property
    def total_norms(self) -> Curve:
        """L2 norms of the whole gradient before clipping on the logged steps, after the warm-up where it is over."""
        return np.sqrt(sum((self.part_norms(part) ** 2 for part in PARTS), start=np.zeros(1)))

    def part_norms(self, part: Part) -> Curve:
        """L2 norms of a part's gradient before clipping on the logged steps; the epochs' means where there are none."""
        steps, norms = self.steps.get(tags.step_tag(tags.grad_norm_tag(part)), (np.zeros(0, np.int64), np.zeros(0)))
        late = norms[steps > self.facts.warmup_steps]
        known = finite(late if len(late) >= limits.NORMS_NEEDED else norms)
        return known if len(known) >= limits.NORMS_NEEDED else finite(self[tags.grad_norm_tag(part)][-3:])

    def fit(self) -> float:
        """Return mask AP over box AP, the median of the last two evaluations at which the ratio means something.

        NaN where box AP of the last one is too low for that.
        """
        boxes, masks = self.ap("bbox"), self.ap("segm")
        both = np.isfinite(boxes) & np.isfinite(masks)
        boxes, masks = boxes[both], masks[both]
        if not len(boxes) or boxes[-1] < limits.AP_MEANS_SOMETHING:
            return math.nan
        ratios = masks / np.where(boxes >= limits.AP_MEANS_SOMETHING, boxes, np.nan)
        return median(ratios[-2:])

    def weighted(self, loss: str) -> Curve:
        """Return a loss in its weight in the total."""
        return self.train(loss) * self.facts.loss_weight[loss]

    @cached_property
    def shares(self) -> Mapping[str, Curve]:
        """Share of each loss in the total, 0..1; computed where it was not recorded."""
        total = sum((self.weighted(loss) for loss in LOSSES), start=np.zeros(len(self.at)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                loss: self[tags.share_tag(loss)] if self.has(tags.share_tag(loss)) else self.weighted(loss) / total
                for loss in LOSSES
            }


def _series(by_step: Mapping[int, float]) -> tuple[NDArray[np.int64], Curve]:
    steps = np.array(sorted(by_step), dtype=np.int64)
    return steps, np.array([by_step[int(step)] for step in steps], dtype=np.float64)


def _bad_values(points: Points) -> Iterable[BadValue]:
    """Return what is not finite among losses and norms, the earliest first."""
    watched = ("loss/", "grad_norm/", "step/")
    bad = [
        BadValue(tag, at, value)
        for tag, by_step in points.items()
        if tag.startswith(watched) and not math.isfinite(sum(by_step.values()))  # a sum is quick, and rarely overflows
        for at, value in by_step.items()
        if not math.isfinite(value)
    ]
    return sorted(bad, key=lambda entry: entry.at)
