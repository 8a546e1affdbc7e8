"""The workers of one command as jobs of another Hydra launcher: joblib's processes, a Slurm array of submitit's."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.record.secrets import mask_urls
from maskrcnn_exp.sweep.devices import device_shares
from maskrcnn_exp.sweep.pool import MAX_STARTS_IN_VAIN, pack, unpack
from maskrcnn_exp.sweep.worker import Job, work

__all__ = ["LauncherPool"]

_SHOWN: Final = 800  # characters of a launcher's error, whose cause stands last
_LOCAL_LAUNCHERS: Final = ("JoblibLauncher", "LocalLauncher")
_URL_VARIABLE: Final = "MASKRCNN_EXP_STORAGE"
"""Carries a storage's URL to the jobs of a launcher: what submitit hands to its jobs lies in a file for all to read."""


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
    _in_vain: int = 0  # launches in a row that failed without a trial done
    _missing: int = 0  # trials to start at the last launch

    def __post_init__(self) -> None:
        if self.job.spec.url is not None:
            os.environ[_URL_VARIABLE] = self.job.spec.url

    def start(self, missing: int) -> None:
        if missing == 0 or self.alive:
            return
        if self._in_vain >= MAX_STARTS_IN_VAIN:
            raise ConfigError(f"the launcher failed {self._in_vain} times in a row, last: {self._problems[-1]}")
        if missing < self._missing:
            self._in_vain = 0  # the last jobs failed, but not before they had done something
        self._missing = missing
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
            text = mask_urls(f"{type(error).__name__}: {error}")
            # At its time limit a job gives its trial back: the next launch goes on.
            self._in_vain = 0 if "timed-out" in text else self._in_vain + 1
            self._problems.append(text if len(text) <= _SHOWN else f"{text[:100]} … {text[-_SHOWN:]}")

    def _config(self) -> Any:
        """Tell joblib how many processes there are: its default is the number of cores.

        At least two, also for a single worker: with one, joblib would call it in this process, in a thread.
        """
        from omegaconf import read_write

        launcher = self.job.config.hydra.launcher
        if not str(launcher.get("_target_", "")).endswith("JoblibLauncher"):
            return self.job.config
        asked = int(launcher.get("n_jobs") or -1)
        config = self.job.config.copy()
        with read_write(config.hydra):
            config.hydra.launcher.n_jobs = max(2, self.n_jobs if asked == -1 else asked)
        return config

    def _places(self) -> list[dict[str, str]]:
        """Return each job's environment; empty where the launcher gives devices by itself, as Slurm does."""
        target = str(self.job.config.hydra.launcher.get("_target_", ""))
        return device_shares(self.n_jobs, self.job.devices) if target.endswith(_LOCAL_LAUNCHERS) else []

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
        self._payload = pack(_without_password(replace(job, orphans_stop=False)))
        self._environments = environments  # by place

    def __call__(self, config: Any) -> None:
        if self._environments:  # before torch is loaded
            os.environ.update(self._environments[_place() % len(self._environments)])
        unpack(self._payload, self._work)

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
