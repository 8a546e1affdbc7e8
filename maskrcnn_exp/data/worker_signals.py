"""Loader workers outlive the signals that ask a training to stop: the training answers them, and needs its workers.

A terminal, a scheduler and a service manager send such a signal to every process of a job. torch takes a worker that it
ends for a crash, and the training would leave with a traceback in place of saving.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from maskrcnn_exp.stop import STOP_SIGNALS

__all__ = ["leave_signals_to_training", "workers_begin_deaf"]

_MASKS: Final = hasattr(signal, "pthread_sigmask")  # not on Windows
_TELLS_SENDER: Final = _MASKS and hasattr(signal, "sigwaitinfo")  # not on macOS


@contextmanager
def workers_begin_deaf() -> Iterator[None]:
    """Block the signals while workers are started: a worker inherits that, until `leave_signals_to_training`.

    What comes in the meantime reaches the training when the block ends.
    """
    if not _MASKS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_training() -> None:
    """In a worker: ignore them. SIGTERM from the training itself ends the worker, as multiprocessing does at the end.

    Where the system does not tell who sent a signal, SIGTERM ends a worker as it would without us.
    """
    for which in STOP_SIGNALS:
        if which != signal.SIGTERM:
            signal.signal(which, signal.SIG_IGN)
    training = multiprocessing.parent_process()
    stays_blocked: set[signal.Signals] = set()
    if _TELLS_SENDER and training is not None:
        stays_blocked = {signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, stays_blocked)  # for the thread, too, and all that come later
        threading.Thread(target=_leave_with, args=(training.pid,), daemon=True).start()
    if _MASKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, set(STOP_SIGNALS) - stays_blocked)


def _leave_with(training: int | None) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != training:
        pass
    os._exit(0)
