"""Where a training step spends its time, operation by operation, ours and the reference's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from torch.profiler import ProfilerActivity, profile

from benchmarks.bench.trainings import side_by_side

__all__ = ["text"]

_STEPS: Final = 5
_ROWS: Final = 15


def text() -> str:
    """Return two tables as Markdown: of the default model on this CPU, with everything else at its default."""
    with side_by_side(("trainer=cpu",)) as both:
        tables = [_table(both.step_reference, "the reference"), _table(both.step_ours, "ours")]
    return "\n\n".join(tables)


def _table(step: Callable[[int], None], whose: str) -> str:
    for number in range(3):
        step(number)
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for number in range(_STEPS):
            step(number)
    events = sorted(recorded.key_averages(), key=_self_us, reverse=True)
    total = sum(map(_self_us, events))
    lines = [f"| {event.key} | {_self_us(event) / total:.1%} | {event.count // _STEPS} |" for event in events[:_ROWS]]
    head = f"| operation, {whose} | own CPU time | calls per step |\n|---|---|---|"
    rest = sum(map(_self_us, events[_ROWS:])) / total
    return "\n".join([head, *lines, f"| {len(events) - _ROWS} others | {rest:.1%} | |"])


def _self_us(event: Any) -> float:
    return float(event.self_cpu_time_total)
