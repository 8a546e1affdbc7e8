"""One epoch of training as a stream of step records. It neither logs nor writes files."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import torch
from torch import Tensor

from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.engine.state import TrainState
from maskrcnn_exp.model.build import hold_norms
from maskrcnn_exp.model.forward import Losses, training_losses
from maskrcnn_exp.model.parts import LOSSES, PARTS, LossName, Part
from maskrcnn_exp.optim.clipping import clip_parts, norm_of, part_norms
from maskrcnn_exp.optim.param_groups import by_part

__all__ = ["MEASURE_EVERY", "NonFiniteStep", "StepRecord", "run_step", "train_epoch"]

MEASURE_EVERY: Final = 20
"""Optimiser steps between measurements of the update ratio: each copies all weights, some 7 % of a step."""


@dataclass(frozen=True)
class StepRecord:
    """One optimiser step, over all processes."""

    step: int  # from 1
    losses: dict[LossName, float]  # unweighted
    total: float  # weighted sum
    grad_norm: dict[Part, float]  # before clipping
    clipped: dict[Part, bool]
    lr: dict[Part, float]
    pictures: int
    foreground: int  # foreground proposals
    class_hits: int  # of these, with their own class before all other classes of objects
    mask_pixels: dict[str, int]  # counts of MaskTelemetry
    update_ratio: dict[Part, float] | None  # ‖Δw‖ / ‖w‖, on the steps where it was measured
    data_seconds: float  # waiting for the loader
    seconds: float  # the whole step, waiting included
    indices: tuple[int, ...]  # this process's pictures


class NonFiniteStep(Exception):  # noqa: N818 - it names an event
    """A loss, a gradient norm or, after the step, a weight is NaN or infinite.

    With a bad loss or gradient the weights are those from before the step. With bad weights, `tensors` names them.
    """

    def __init__(self, record: StepRecord, samples: list[list[Sample]], tensors: Sequence[str] = ()) -> None:
        super().__init__(f"step {record.step}")
        self.record = record
        self.samples = samples  # per batch of the step; none where a weight is bad
        self.tensors = tuple(tensors)


def train_epoch(
    state: TrainState,
    batches: Iterable[list[Sample]],
    *,
    total_batches: int,
    accumulate: int,
    measure_every: int = MEASURE_EVERY,
) -> Iterator[StepRecord]:
    """Train on what is left of the current epoch; `state.progress` is up to date whenever a record is yielded.

    Args:
        batches: The epoch's batches from `state.progress.batch` on.
        total_batches: Batches of the whole epoch.
        accumulate: Batches per optimiser step; the epoch's last step takes what is left.
        measure_every: Optimiser steps between measurements of the update ratio; an epoch's last step has one too.

    Raises:
        NonFiniteStep: within the step in which it happened.
    """
    state.module.train()
    hold_norms(state.network, state.frozen_parts)
    stream = iter(batches)
    while state.progress.batch < total_batches:
        started = time.perf_counter()
        left = total_batches - state.progress.batch
        samples = list(islice(stream, min(accumulate, left)))
        waited = time.perf_counter() - started
        measure = (state.progress.step + 1) % measure_every == 0 or left <= accumulate
        record = run_step(state, samples, measure=measure, data_seconds=waited)
        state.progress.step += 1
        state.progress.batch += len(samples)
        yield record


def run_step(
    state: TrainState, samples: list[list[Sample]], *, measure: bool = False, data_seconds: float = 0.0
) -> StepRecord:
    """Forward, finite check, backward, norms, clip, step: on the batches of one optimiser step.

    Raises:
        NonFiniteStep: before the weights are touched.
    """
    started = time.perf_counter()
    rates = state.learning_rates()
    state.optimizer.zero_grad(set_to_none=True)
    sums = _Sums()
    for position, batch in enumerate(samples):
        last = position == len(samples) - 1
        with state.fabric.no_backward_sync(state.module, enabled=not last):
            losses = training_losses(state.module, state.network, batch, state.fabric.device)
            scales = sums.add(state, losses, len(batch))
            weighted = [losses.values[name] * state.loss_weights[name] * scales[name] for name in LOSSES]
            if sums.finite():
                state.fabric.backward(torch.stack(weighted).sum() / len(samples))
    parameters = by_part(state.groups)
    norms = part_norms(parameters)
    finite = sums.finite() and bool(torch.isfinite(norms).all())
    clipped = clip_parts(parameters, norms, state.limits) if finite else dict.fromkeys(PARTS, False)
    ratio = _apply(state, parameters, rates, measure) if finite else None
    mean = sums.mean_losses(len(samples))
    record = StepRecord(
        step=state.progress.step + 1,
        losses=mean,
        total=math.fsum(mean[name] * state.loss_weights[name] for name in LOSSES),
        grad_norm=dict(zip(PARTS, norms.tolist(), strict=True)),
        clipped=clipped,
        lr=rates,
        pictures=sums.pictures,
        foreground=sums.foreground,
        class_hits=sums.class_hits,
        mask_pixels=sums.mask_pixels,
        update_ratio=ratio,
        data_seconds=data_seconds,
        seconds=data_seconds + time.perf_counter() - started,
        indices=tuple(sample.index for batch in samples for sample in batch),
    )
    if not finite:
        raise NonFiniteStep(record, samples)
    return record


def _apply(
    state: TrainState, parameters: dict[Part, list[torch.nn.Parameter]], rates: dict[Part, float], measure: bool
) -> dict[Part, float] | None:
    """Take the optimiser step at these rates; with `measure`, return ‖Δw‖ / ‖w‖ of each part."""
    for group in state.optimizer.param_groups:
        group["lr"] = rates[group["part"]]
    before = {part: [p.detach().clone() for p in parameters[part]] for part in PARTS} if measure else {}
    state.optimizer.step()
    if state.ema is not None:
        state.ema.update_parameters(state.network)
    if not measure:
        return None
    return {part: _update_ratio(before[part], parameters[part]) for part in PARTS}


@torch.no_grad()
def _update_ratio(before: list[Tensor], after: list[torch.nn.Parameter]) -> float:
    if not before:
        return 0.0
    size = float(norm_of(before, None))
    torch._foreach_sub_(before, list(after))
    return float(norm_of(before, None)) / max(size, 1e-12)


class _Sums:
    """Joins the losses of several batches and processes into those of one step.

    Over processes, Σ loss·count / Σ count is the loss of the global batch. Over accumulated batches it is the mean,
    as everywhere: the later counts are not known when the first batch goes backward.
    """

    def __init__(self) -> None:
        self.losses = dict.fromkeys(LOSSES, 0.0)
        self.pictures = 0
        self.foreground = 0
        self.class_hits = 0
        self.mask_pixels = dict.fromkeys(_PIXEL_COUNTS, 0)

    def add(self, state: TrainState, losses: Losses, pictures: int) -> dict[LossName, float]:
        """Add one batch; return the factor of each loss that makes averaged gradients those of the global batch."""
        values = torch.stack([losses.values[name].detach().double() for name in LOSSES])
        counts = torch.tensor([float(losses.counts[name]) for name in LOSSES], dtype=torch.float64)
        counts = counts.to(values.device)
        pixels = torch.stack([*(getattr(losses.telemetry, name) for name in _PIXEL_COUNTS), losses.class_hits]).double()
        extra = torch.tensor([float(pictures), float(losses.foreground)], dtype=torch.float64).to(values.device)
        packed = torch.cat([values * counts, counts, pixels, extra])
        if state.fabric.world_size > 1:
            packed = torch.as_tensor(state.fabric.all_reduce(packed, reduce_op="sum"))
        numbers: list[float] = packed.tolist()
        global_counts = numbers[len(LOSSES) : 2 * len(LOSSES)]
        for name, loss_sum, count in zip(LOSSES, numbers, global_counts, strict=False):
            self.losses[name] += loss_sum / count if count else 0.0 * loss_sum
        for count_name, pixel_count in zip(_PIXEL_COUNTS, numbers[2 * len(LOSSES) : -3], strict=True):
            self.mask_pixels[count_name] += int(pixel_count)
        self.class_hits += int(numbers[-3])
        self.pictures += int(numbers[-2])
        self.foreground += int(numbers[-1])
        if state.fabric.world_size == 1:
            return dict.fromkeys(LOSSES, 1.0)
        return {
            name: losses.counts[name] * state.fabric.world_size / count if count else 1.0
            for name, count in zip(LOSSES, global_counts, strict=True)
        }

    def mean_losses(self, batches: int) -> dict[LossName, float]:
        return {name: value / batches for name, value in self.losses.items()}

    def finite(self) -> bool:
        return all(math.isfinite(value) for value in self.losses.values())


_PIXEL_COUNTS = ("pixels", "wrong", "positives", "false_positives", "false_negatives")
"""The fields of MaskTelemetry."""
