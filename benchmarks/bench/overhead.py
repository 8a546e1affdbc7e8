"""What watching a training costs: norms, update ratios, mask counts, meter, black box and event file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from benchmarks.bench.pairs import interleave
from benchmarks.bench.row import Row
from benchmarks.bench.trainings import SideBySide, side_by_side
from maskrcnn_exp.engine import loop
from maskrcnn_exp.engine.black_box import BlackBox
from maskrcnn_exp.engine.meter import EpochMeter
from maskrcnn_exp.model import roi_heads
from maskrcnn_exp.record.run_log import RunLog

__all__ = ["rows"]

_STEPS: Final = 20
_PAIRS: Final = 12
_WATCHED: Final[tuple[tuple[Any, str], ...]] = (
    (loop, "part_norms"),
    (roi_heads, "mask_telemetry"),
    (EpochMeter, "add"),
    (BlackBox, "remember"),
    (RunLog, "step"),
)
"""What does nothing for the learning. The norms are counted whole, though clipping by them needs them."""


def rows() -> list[Row]:
    with side_by_side(("trainer=cpu",)) as both:
        parts, step_seconds = _watch(both)
        parts["update ratio"] = _update_ratio_seconds(both) / loop.MEASURE_EVERY
    shares = {name: seconds / step_seconds for name, seconds in parts.items()}
    note = ", ".join(f"{name} {share:.2%}" for name, share in shares.items())
    figure = f"{sum(shares.values()):.2%} of the step"
    return [Row("logging, norms, ratios, counts", figure, "≤ 2 %", note=f"{note}; step {step_seconds:.3f} s")]


def _watch(both: SideBySide) -> tuple[dict[str, float], float]:
    """Return the mean seconds per step of each watched function, and of the whole step."""
    for number in range(3):
        both.step_ours(number)
    spent = {name: 0.0 for _, name in _WATCHED}
    with ExitStack() as stack:
        for place, name in _WATCHED:
            stack.enter_context(_timed(place, name, spent))
        started = time.perf_counter()
        for number in range(_STEPS):
            both.step_ours(number)
        whole = time.perf_counter() - started
    return {name: seconds / _STEPS for name, seconds in spent.items()}, whole / _STEPS


@contextmanager
def _timed(place: Any, name: str, spent: dict[str, float]) -> Iterator[None]:
    original: Callable[..., Any] = getattr(place, name)

    def timed(*arguments: Any, **keywords: Any) -> Any:
        started = time.perf_counter()
        try:
            return original(*arguments, **keywords)
        finally:
            spent[name] += time.perf_counter() - started

    setattr(place, name, timed)
    try:
        yield
    finally:
        setattr(place, name, original)


def _update_ratio_seconds(both: SideBySide) -> float:
    """Return what a step that measures ‖Δw‖ / ‖w‖ takes longer than one that does not."""
    state, batch = both.ours.state, both.batches[0]
    paired = interleave(
        lambda _: loop.run_step(state, [batch], measure=False),
        lambda _: loop.run_step(state, [batch], measure=True),
        pairs=_PAIRS,
        warmup=1,
    )
    # The fastest of each: what else the machine does only adds, and it adds more than the difference.
    return max(0.0, min(paired.reference) - min(paired.ours))
