"""The same losses and gradients as torchvision's, in fp32, on one batch.

With freshly initialised batch norms a gradient amplifies rounding a thousandfold: what torchvision's own operators
differ by in another memory format is the measure of "equal".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from benchmarks.bench.row import Row
from benchmarks.bench.trainings import SideBySide, side_by_side
from benchmarks.reference_parts import collate, to_torchvision
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.model.forward import training_losses
from maskrcnn_exp.model.parts import LOSSES

__all__ = ["Difference", "compare", "rows"]

_CASES: Final = {
    "torchvision's code, contiguous": ("trainer.fast=false", "trainer.channels_last=false"),
    "torchvision's code, channels-last": ("trainer.fast=false", "trainer.channels_last=true"),
    "the default": ("trainer.fast=true",),
}
"""The second one is rounding alone: the same operators add up in another order."""


@dataclass(frozen=True)
class Difference:
    """How far ours is from torchvision's on one batch."""

    losses: float  # largest |a - b| / |b| over the five
    gradient: float  # ‖a - b‖ / ‖b‖ of the whole gradient
    worst_tensor: float  # the largest of the same over the parameters, with the name
    worst_name: str


def rows() -> list[Row]:
    found = []
    for name, words in _CASES.items():
        with side_by_side(("trainer=cpu", "trainer.precision=32-true", *words), keep=1) as both:
            difference = compare(both)
        figure = f"losses {difference.losses:.0e}, gradient {difference.gradient:.0e}"
        note = f"relative; worst tensor {difference.worst_tensor:.0e}, {difference.worst_name}"
        found.append(Row(f"fp32 against the reference: {name}", figure, "float tolerance", note=note))
    return found


def compare(both: SideBySide) -> Difference:
    """Run both forward and backward on the first batch, with our seeded samplers in torchvision's network."""
    (batch, *_), ours, theirs = both.batches, both.ours.state.network, both.reference.training.model
    ours.train()
    mine = training_losses(both.ours.state.module, ours, batch, both.ours.state.fabric.device).values
    with _seeded_like(ours, theirs, batch):
        images, targets = collate([to_torchvision(sample) for sample in batch])
        reference: dict[str, Tensor] = theirs(list(images), list(targets))
    gradients, expected = _gradients(ours, mine), _gradients(theirs, reference)
    apart = {name: _relative(gradients[name], gradient) for name, gradient in expected.items()}
    worst = max(apart, key=lambda name: apart[name])
    whole = _relative(torch.cat([gradients[name] for name in expected]), torch.cat(list(expected.values())))
    losses = max(_relative(mine[name].detach(), reference[name].detach()) for name in LOSSES)
    return Difference(losses, whole, apart[worst], worst)


@contextmanager
def _seeded_like(ours: MaskRCNN, theirs: MaskRCNN, batch: Sequence[Sample]) -> Iterator[None]:
    """Give torchvision's network our samplers for one pass: its own draw from the global generator."""
    places = [(theirs.rpn, ours.rpn.fg_bg_sampler), (theirs.roi_heads, ours.roi_heads.fg_bg_sampler)]
    previous = [place.fg_bg_sampler for place, _ in places]
    for place, sampler in places:
        sampler.seeds = [sample.seed for sample in batch]
        place.fg_bg_sampler = sampler
    try:
        yield
    finally:
        for (place, sampler), before in zip(places, previous, strict=True):
            sampler.seeds, place.fg_bg_sampler = None, before


def _gradients(network: MaskRCNN, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    network.zero_grad()
    torch.stack([losses[name] for name in LOSSES]).sum().backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.flatten().clone() for name, p in network.named_parameters() if p.grad is not None}


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))
