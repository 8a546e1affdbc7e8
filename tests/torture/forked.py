"""The real command in a process forked from one that has imported torch: a kill costs a second, not an import.

The fork server is Python's own. It imports and computes nothing, so each child begins as a new process would.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

__all__ = ["Forked"]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["maskrcnn_exp.cli", "maskrcnn_exp.recipes.train", "maskrcnn_exp.recipes.suspects"])


class Forked:
    """`maskrcnn-exp WORDS` with its output in a file, in a process group of its own."""

    def __init__(self, *words: str, output: Path, threads: int = 1) -> None:
        self.output = output
        self.started = time.monotonic()
        self._process = _CONTEXT.Process(target=_run, args=(words, str(output), threads))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def ended(self) -> bool:
        return self._process.exitcode is not None

    def kill(self) -> bool:
        """Kill -9 the process and its loader workers; say whether it was still running."""
        if self.ended():
            return False
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # in its first millisecond it has no group yet
            os.kill(self.pid, signal.SIGKILL)
        self._process.join()
        return self._process.exitcode == -signal.SIGKILL

    def wait(self, seconds: float) -> int:
        """Return the exit code."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"still running after {seconds} s: {self.text()}"
        return self._process.exitcode

    def text(self) -> str:
        return self.output.read_text() if self.output.exists() else ""


def _run(words: tuple[str, ...], output: str, threads: int) -> None:
    os.setsid()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    # Loader workers are forked from the run, as by default on Linux; a signal to the group would end a fork server.
    multiprocessing.set_start_method("fork", force=True)
    import torch

    from maskrcnn_exp.cli import main

    torch.set_num_threads(threads)
    sys.argv = ["maskrcnn_exp"]
    main(["train", *words])
