"""The workers of one command: processes of this machine with a device each, or jobs of a Hydra launcher."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, Protocol

from maskrcnn_exp.errors import ConfigError, Interrupted
from maskrcnn_exp.record.secrets import mask_urls
from maskrcnn_exp.sweep.devices import device_shares, environment
from maskrcnn_exp.sweep.worker import Job, work

__all__ = ["LauncherPool", "LocalPool", "Pool"]

_MAX_STARTS_IN_VAIN: Final = 5
_LOCAL_LAUNCHERS: Final = ("JoblibLauncher", "LocalLauncher")
_URL_VARIABLE: Final = "MASKRCNN_EXP_STORAGE"
"""Carries a storage's URL to the jobs of a launcher: what submitit hands to its jobs lies in a file for all to read."""


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
    _payload: bytes = field(init=False)
    _in_vain: int = 0  # workers in a row that died before they could take a trial

    def __post_init__(self) -> None:
        self._processes = [None] * self.n_jobs
        self._signs = [None] * self.n_jobs
        self._payload = _pack(self.job)

    def start(self, missing: int) -> None:
        """Start workers on free places.

        Raises:
            ConfigError: one worker after the other dies.
        """
        if self._in_vain >= _MAX_STARTS_IN_VAIN:
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
        process = context.Process(target=_worker_main, args=(self._payload, sign), name=f"worker-{place}")
        with environment(device_shares(self.n_jobs)[place]):
            process.start()
        sign.close()  # the child has its own
        return process

    def died(self) -> list[str]:
        said = []
        for place, process in enumerate(self._processes):
            if process is None or process.is_alive():
                continue
            process.join()
            self._processes[place] = None
            code, came_up = process.exitcode or 0, self._came_up(place)
            if code in (0, Interrupted.exit_code):
                self._in_vain = 0
                continue
            self._in_vain = 0 if came_up else self._in_vain + 1
            lost = "its trial goes on from its last checkpoint" if came_up else "before it could take a trial"
            said.append(f"worker {place} died ({_cause(code)}), {lost}")
        return said

    def _came_up(self, place: int) -> bool:
        """Say whether the worker, which is dead by now, ever got so far as to take a trial."""
        sign, self._signs[place] = self._signs[place], None
        if sign is None:
            return False
        with sign:
            try:
                return sign.poll() and bool(sign.recv())
            except (EOFError, OSError):
                return False

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


@dataclass
class LauncherPool:
    """Worker jobs through another Hydra launcher: joblib's processes, a Slurm array of submitit's.

    What is launched is a worker, not a trial: it takes trials from the storage as long as there are some, so nobody
    waits for the slowest of a batch. The launcher blocks until its jobs are done; it gets a thread.
    """

    job: Job
    n_jobs: int
    _thread: threading.Thread | None = None
    _problems: list[str] = field(default_factory=list)
    _told: int = 0  # of the problems
    _launches: int = 0
    _in_vain: int = 0

    def __post_init__(self) -> None:
        from hydra.core.hydra_config import HydraConfig

        if self.job.spec.url is not None:
            os.environ[_URL_VARIABLE] = self.job.spec.url
        HydraConfig.instance().set_config(self.job.config)  # launchers pass it on; the job's has no password

    def start(self, missing: int) -> None:
        if missing == 0 or self.alive:
            return
        if self._in_vain >= _MAX_STARTS_IN_VAIN:
            raise ConfigError(f"the launcher failed {self._in_vain} times in a row, last: {self._problems[-1]}")
        self._thread = threading.Thread(target=self._launch, args=(min(missing, self.n_jobs),), daemon=True)
        self._thread.start()

    def _launch(self, workers: int) -> None:
        from hydra.core.plugins import Plugins

        try:
            launcher = Plugins.instance().instantiate_launcher(
                hydra_context=self.job.hydra_context,
                task_function=_WorkerTask(self.job, self._places()),
                config=self._config(),
            )
            # The jobs are numbered from far above: a job's number is its folder, and low ones are the trials'.
            names = [[f"hydra.sweep.subdir=.workers/job_{self._launches}_{place}"] for place in range(workers)]
            self._launches += 1
            for result in launcher.launch(names, initial_job_idx=0):
                _ = result.return_value
            self._in_vain = 0
        except Exception as error:
            self._in_vain += 1
            self._problems.append(mask_urls(f"{type(error).__name__}: {str(error)[:500]}"))

    def _config(self) -> Any:
        """Joblib would start as many workers as there are cores, where nobody says how many."""
        from omegaconf import read_write

        launcher = self.job.config.hydra.launcher
        if launcher.get("n_jobs") != -1:
            return self.job.config
        config = self.job.config.copy()
        with read_write(config.hydra):
            config.hydra.launcher.n_jobs = self.n_jobs
        return config

    def _places(self) -> list[dict[str, str]]:
        """Return each job's environment; empty where the launcher gives devices by itself, as Slurm does."""
        target = str(self.job.config.hydra.launcher.get("_target_", ""))
        return device_shares(self.n_jobs) if target.endswith(_LOCAL_LAUNCHERS) else []

    def died(self) -> list[str]:
        if self.alive or self._told == len(self._problems):
            return []
        said = [f"launcher: {problem}" for problem in self._problems[self._told :]]
        self._told = len(self._problems)
        return said

    @property
    def alive(self) -> int:
        return self.n_jobs if self._thread is not None and self._thread.is_alive() else 0

    def stop(self) -> None:
        """Wait: no signal reaches another machine, but the workers read in the storage that they shall stop."""
        if self._thread is not None:
            self._thread.join()


class _WorkerTask:
    """What a launcher calls in place of the program: a worker. Carries its job packed, as Hydra's own state is."""

    def __init__(self, job: Job, environments: Sequence[Mapping[str, str]]) -> None:
        self._has_url = job.spec.url is not None
        self._payload = _pack(_without_password(replace(job, orphans_stop=False)))
        self._environments = environments  # by place

    def __call__(self, config: Any) -> None:
        if self._environments:  # before torch is loaded
            os.environ.update(self._environments[_place() % len(self._environments)])
        _unpack(self._payload, self._work)

    def _work(self, job: Job) -> None:
        if self._has_url:
            job = replace(job, spec=replace(job.spec, url=_url_of_environment()))
        work(job)


def _place() -> int:
    """Return which of a launcher's jobs this process is."""
    from hydra.core.hydra_config import HydraConfig

    return int(HydraConfig.get().job.num)


def _url_of_environment() -> str:
    if _URL_VARIABLE not in os.environ:
        raise ConfigError(
            f"the launcher did not pass the environment variable {_URL_VARIABLE} on to its job, which holds the "
            "storage's URL. With Slurm: no --export=NONE."
        )
    return os.environ[_URL_VARIABLE]


def _without_password(job: Job) -> Job:
    settings = replace(job.settings, storage=None)
    plan: Any = job.plan
    known = {each.name for each in fields(plan)} if is_dataclass(plan) else set()
    if {"settings", "config"} <= known:
        plan = replace(plan, settings=settings, config=job.config)
    return replace(job, spec=replace(job.spec, url=None), settings=settings, plan=plan)


def _pack(job: Job) -> bytes:
    import cloudpickle
    from hydra.core.singleton import Singleton

    packed: bytes = cloudpickle.dumps((job, Singleton.get_state()))
    return packed


def _unpack(payload: bytes, run: Any) -> Any:
    import pickle

    from hydra.core.singleton import Singleton
    from hydra.core.utils import setup_globals

    job, singletons = pickle.loads(payload)
    Singleton.set_state(singletons)
    setup_globals()
    return run(job)


def _worker_main(payload: bytes, sign: Connection) -> None:
    """A local worker process, from its first line to its exit code."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a terminal's Ctrl-C goes to the driver alone, which passes it on once
    try:
        told_to_stop = not _unpack(payload, partial(work, came_up=partial(sign.send, True)))
    except KeyboardInterrupt:
        told_to_stop = True
    sys.exit(Interrupted.exit_code if told_to_stop else 0)


def _cause(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name
