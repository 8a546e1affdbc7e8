"""Signals that ask to stop, as a flag that a training or a sweep asks between its steps. Loads without torch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["STOP_SIGNALS", "StopFlag", "stop_on_signals"]

STOP_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
)
"""Ctrl-C, kill and a scheduler's end, a terminal that closes, and the warning of `sbatch --signal=USR1@60`."""
_ONLY_IF_UNUSED: Final = ("SIGHUP", "SIGUSR1")
"""These stay with whoever has them: nohup ignores the first, a launcher may listen to the second."""


class StopFlag:
    """Set by a signal or by `also`, asked between steps of whatever goes on."""

    def __init__(self, also: Callable[[], bool] = lambda: False) -> None:
        self.signal_name: str | None = None
        self._also = also

    def __call__(self) -> bool:
        return self.signal_name is not None or self._also()

    def agreed(self, fabric: Fabric) -> bool:
        """Say whether any process was told to stop; the same answer on every process."""
        if fabric.world_size == 1:
            return self()
        import torch

        told = torch.tensor(float(self()), device=fabric.device)
        everyone = fabric.all_reduce(told, reduce_op="sum")
        return bool(torch.as_tensor(everyone) > 0)


@contextmanager
def stop_on_signals(
    on_first: Callable[[str], None] = lambda _: None, also: Callable[[], bool] = lambda: False
) -> Iterator[StopFlag]:
    """Turn STOP_SIGNALS into a flag; a second signal acts as it would without us.

    Args:
        on_first: Called with the first signal's name.
        also: Another reason to stop, asked with the flag.
    """
    flag = StopFlag(also)
    previous: dict[signal.Signals, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if flag.signal_name is not None:
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)
            return
        flag.signal_name = name
        on_first(name)

    for which in STOP_SIGNALS:
        if which.name not in _ONLY_IF_UNUSED or signal.getsignal(which) == signal.SIG_DFL:
            previous[which] = signal.signal(which, handle)
    try:
        yield flag
    finally:
        for which, handler in previous.items():
            signal.signal(which, handler)
