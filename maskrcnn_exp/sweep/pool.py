"""The workers of one command: processes of this machine, with a device each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final, Protocol, TypeVar

from maskrcnn_exp.errors import ConfigError, Interrupted
from maskrcnn_exp.sweep.devices import device_shares, environment
from maskrcnn_exp.sweep.worker import Job, work

__all__ = ["MAX_STARTS_IN_VAIN", "LocalPool", "Pool", "pack", "unpack"]

MAX_STARTS_IN_VAIN: Final = 5

T = TypeVar("T")


class Pool(Protocol):
    """Workers that end by themselves when no trial is left to start."""

    def start(self, missing: int) -> None:
        """Bring the number of workers up to n_jobs, but start no more than `missing`."""

    def died(self) -> list[str]:
        """Return what is to be said of workers that ended badly since the last call."""

    @property
    def alive(self) -> int:
        """Workers at work."""

    def stop(self) -> None:
        """Let the workers save, give their trials back and end; wait for it."""


@dataclass
class LocalPool:
    """Worker processes of this machine."""

    job: Job
    n_jobs: int
    _processes: list[BaseProcess | None] = field(init=False)
    _signs: list[Connection | None] = field(init=False)  # of life, one for each process
    _came_up: list[bool] = field(init=False)
    _payload: bytes = field(init=False)
    _in_vain: int = 0  # workers in a row that died before they could take a trial, while no other could either

    def __post_init__(self) -> None:
        self._processes = [None] * self.n_jobs
        self._signs = [None] * self.n_jobs
        self._came_up = [False] * self.n_jobs
        self._payload = pack(self.job)

    def start(self, missing: int) -> None:
        """Start workers on free places.

        Raises:
            ConfigError: one worker after the other dies.
        """
        if self._in_vain >= MAX_STARTS_IN_VAIN:
            raise ConfigError(
                f"{self._in_vain} workers in a row died at once. What they printed stands above, or in the console.log "
                f"of the newest trial in {self.job.spec.folder}. The study is kept: the same command goes on."
            )
        for place, process in enumerate(self._processes):
            if process is None and missing > 0:
                self._processes[place] = self._start(place)
                missing -= 1

    def _start(self, place: int) -> BaseProcess:
        # Spawned, not forked: the process must read its share of the machine before torch is loaded.
        context = multiprocessing.get_context("spawn")
        self._signs[place], sign = context.Pipe(duplex=False)
        payload, sender = context.Pipe(duplex=False)
        process = context.Process(target=_worker_main, args=(payload, sign), name=f"worker-{place}")
        with environment(device_shares(self.n_jobs, self.job.devices)[place]):
            process.start()
        sign.close()  # the child has its own ends
        payload.close()
        # Not an argument of the process: it is larger than a pipe holds, and a child that dies while it imports the
        # program would leave this process writing for ever.
        threading.Thread(target=_send, args=(sender, self._payload), daemon=True).start()
        return process

    def died(self) -> list[str]:
        said = []
        for place, process in enumerate(self._processes):
            if process is None:
                continue
            if process.is_alive():
                if self._has_come_up(place):
                    self._in_vain = 0
                continue
            process.join()
            self._processes[place] = None
            code, came_up = process.exitcode or 0, self._has_come_up(place)
            self._close_sign(place)
            if code in (0, Interrupted.exit_code):
                self._in_vain = 0
                continue
            self._in_vain = 0 if came_up else self._in_vain + 1
            lost = "its trial goes on from its last checkpoint" if came_up else "before it could take a trial"
            said.append(f"worker {place} died ({_cause(code)}), {lost}")
        return said

    def _has_come_up(self, place: int) -> bool:
        """Say whether the worker, dead or alive, ever got so far as to take a trial."""
        sign = self._signs[place]
        try:
            if sign is not None and sign.poll() and sign.recv():
                self._came_up[place] = True
        except (EOFError, OSError):  # it died before
            pass
        return self._came_up[place]

    def _close_sign(self, place: int) -> None:
        sign, self._signs[place], self._came_up[place] = self._signs[place], None, False
        if sign is not None:
            sign.close()

    @property
    def alive(self) -> int:
        return sum(process is not None and process.is_alive() for process in self._processes)

    def stop(self) -> None:
        for process in self._processes:
            if process is not None and process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)
        for process in self._processes:
            if process is not None:
                process.join()


def pack(job: Job) -> bytes:
    """Return the job, and what Hydra knows of this program, for another process."""
    import cloudpickle
    from hydra.core.singleton import Singleton

    packed: bytes = cloudpickle.dumps((job, Singleton.get_state()))
    return packed


def unpack(payload: bytes, run: Callable[[Job], T]) -> T:
    """Set Hydra up in this process as in that one, and return `run(job)`."""
    import pickle

    from hydra.core.singleton import Singleton
    from hydra.core.utils import setup_globals

    job, singletons = pickle.loads(payload)
    Singleton.set_state(singletons)
    setup_globals()
    return run(job)


def _send(sender: Connection, payload: bytes) -> None:
    with sender, suppress(OSError):  # the worker died meanwhile: `died` tells of it
        sender.send_bytes(payload)


def _worker_main(payload: Connection, sign: Connection) -> None:
    """A local worker process, from its first line to its exit code."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C goes to the driver alone, which passes it on once
    try:
        told_to_stop = not unpack(payload.recv_bytes(), partial(work, came_up=partial(sign.send, True)))
    except KeyboardInterrupt:
        told_to_stop = True
    sys.exit(Interrupted.exit_code if told_to_stop else 0)


def _cause(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name
