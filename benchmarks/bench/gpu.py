"""A GPU's step against the reference's with its mixed precision on: speed, memory, share of the matmul rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bench.pairs import Paired, interleave
from benchmarks.bench.row import Row, not_measured
from benchmarks.bench.scenes import draw_batches
from benchmarks.bench.trainings import side_by_side

__all__ = ["matmul_rate", "rows"]

_WHAT: Final = "step on a GPU: `resnet50_fpn`, bf16, batch 16, 800 to 1333 px"
_MEMORY: Final = "step on a GPU: peak memory above what stands between steps"
_RATE: Final = "step on a GPU: share of the measured bf16 matmul rate"
_WORDS: Final = (
    "model=resnet50_fpn",
    "model.backbone_weights=none",
    "trainer=gpu",
    "trainer.batch_size=16",
    "trainer.precision=bf16-mixed",
)
_SIZES: Final = ((480, 640), (640, 480), (427, 640), (640, 427), (384, 640))  # enlarged to 800 × 1067 … 800 × 1333
_OBJECTS: Final = 7  # per picture, as in COCO
_PAIRS: Final = 20


def rows() -> list[Row]:
    """Measure on the GPU, or say that there is none."""
    if not torch.cuda.is_available():
        targets = {_WHAT: "≥ 2.0", _MEMORY: "no higher", _RATE: "stated"}
        return [
            not_measured(what, target, "no GPU here; see [On a GPU](#on-a-gpu)") for what, target in targets.items()
        ]
    batches = draw_batches(3, 16, _SIZES, _OBJECTS)
    with side_by_side(_WORDS, batches, amp="bf16") as both:
        paired = interleave(both.step_ours, both.step_reference, pairs=_PAIRS, warmup=5)
        ours, theirs = _peak_gib(both.step_ours), _peak_gib(both.step_reference)
        flops = _flops(both.step_reference)
    rate = matmul_rate(torch.device("cuda"), side=8192)
    return [_speed(paired), _memory(ours, theirs), _share(paired, flops, rate)]


def _speed(paired: Paired) -> Row:
    ours, theirs = (16 / seconds for seconds in paired.medians)
    note = f"{torch.cuda.get_device_name()}; {ours:.1f} and {theirs:.1f} pictures/s; the reference in bf16 autocast"
    return Row(_WHAT, f"{paired.medians[0]:.3f} s", "≥ 2.0", paired.ratio, paired.spread, note)


def _memory(ours: float, theirs: float) -> Row:
    return Row(_MEMORY, f"{ours:.2f} GiB against {theirs:.2f} GiB", "no higher", theirs / ours)


def _share(paired: Paired, flops: int, rate: float) -> Row:
    ours, theirs = (flops / seconds / rate for seconds in paired.medians)
    note = f"{flops / 1e12:.2f} TFLOP per step, as the reference computes it; {rate / 1e12:.0f} TFLOP/s measured"
    return Row(_RATE, f"{ours:.1%} against {theirs:.1%}", "stated", note=note)


def _peak_gib(step: Callable[[int], None]) -> float:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(0)
    return (torch.cuda.max_memory_allocated() - before) / 2**30


def _flops(step: Callable[[int], None]) -> int:
    """Count the products of one step, forward and backward: convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        step(0)
    return int(counter.get_total_flops())


def matmul_rate(device: torch.device, side: int, repeats: int = 20) -> float:
    """Return what the device does of side × side bfloat16 matrix products, in FLOP/s."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    _finish(device)
    started = time.perf_counter()
    for _ in range(repeats):
        a @ b
    _finish(device)
    return repeats * 2 * side**3 / (time.perf_counter() - started)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
