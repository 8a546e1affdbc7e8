"""Writing that leaves the processor to a training on the same cores."""

from __future__ import annotations

import time
from threading import Event
from typing import BinaryIO, Final

__all__ = ["PacedFile"]

_REST: Final = 9.0  # seconds for each second that the thread has computed
_BURST: Final = 0.005  # seconds; shorter rests would cost more than they give


class PacedFile:
    """A file, for what takes one to write to; its writer's thread rests between the pieces, until it is told to hurry.

    A step on all cores waits for the core that another thread has taken: unpaced, it takes twice as long. Waiting for
    the disk counts as rest.
    """

    def __init__(self, file: BinaryIO, hurry: Event) -> None:
        self._file = file
        self._hurry = hurry
        self._since = time.thread_time()

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        computed = time.thread_time() - self._since
        if computed > _BURST:
            self._hurry.wait(_REST * computed)
            self._since = time.thread_time()
        return written

    def flush(self) -> None:
        self._file.flush()
