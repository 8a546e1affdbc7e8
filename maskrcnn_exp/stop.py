"""SIGINT and SIGTERM as a flag that a training or a sweep asks between its steps. Loads without torch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["StopFlag", "stop_on_signals"]


class StopFlag:
    """Set by a signal, asked between steps of whatever goes on."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def __call__(self) -> bool:
        return self.signal_name is not None

    def agreed(self, fabric: Fabric) -> bool:
        """Say whether any process was told to stop; the same answer on every process."""
        if fabric.world_size == 1:
            return self()
        import torch

        told = torch.tensor(float(self()), device=fabric.device)
        everyone = fabric.all_reduce(told, reduce_op="sum")
        return bool(torch.as_tensor(everyone) > 0)


@contextmanager
def stop_on_signals(on_first: Callable[[str], None] = lambda _: None) -> Iterator[StopFlag]:
    """Turn SIGINT and SIGTERM into a flag; a second signal acts as it would without us."""
    flag = StopFlag()
    previous: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if flag():
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)
            return
        flag.signal_name = name
        on_first(name)

    for which in (signal.SIGINT, signal.SIGTERM):
        previous[which] = signal.signal(which, handle)
    try:
        yield flag
    finally:
        for which, handler in previous.items():
            signal.signal(which, handler)
