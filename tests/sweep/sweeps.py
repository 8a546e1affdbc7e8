"""Sweeps of the fast program in tests/sweep/app, each in processes of its own as a shell starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from maskrcnn_exp.sweep.attrs import LEASE
from maskrcnn_exp.sweep.storage import StorageSpec

__all__ = [
    "APP",
    "MULT",
    "folder_of",
    "running_workers",
    "start_sweep",
    "starts_of",
    "study_of",
    "sweep",
    "trials_of",
    "wait_until",
]

APP = Path(__file__).parent / "app" / "train.py"
MULT = "lr.mask_mult=tag(log, interval(0.1, 30))"
_REPOSITORY = Path(__file__).parents[2]
_QUICK = ("hydra.sweeper.study_name=s", "hydra.sweeper.report=false", "hydra.sweeper.grace_seconds=20")


def sweep(cwd: Path, *words: str, timeout_seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run one sweep to its end, whatever its exit code; stdout and stderr in one. Words given here come last."""
    return subprocess.run(
        _command(words),
        cwd=cwd,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def start_sweep(cwd: Path, *words: str) -> subprocess.Popen[str]:
    """Start one sweep in a process group of its own; return at once."""
    return subprocess.Popen(
        _command(words),
        cwd=cwd,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _command(words: tuple[str, ...]) -> list[str]:
    return [sys.executable, str(APP), "--multirun", *_QUICK, *words]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{_REPOSITORY}{os.pathsep}{APP.parent}", "HYDRA_FULL_ERROR": "1"}


def folder_of(cwd: Path) -> Path:
    return cwd / "multirun" / "s"


def study_of(cwd: Path) -> optuna.Study:
    """Open the study that a sweep in `cwd` made in its journal."""
    return optuna.load_study(storage=StorageSpec(folder_of(cwd)).open(), study_name="s")


def trials_of(cwd: Path, url: str | None = None) -> list[FrozenTrial]:
    """Return the trials as they are now; none where the study is not made yet."""
    storage = StorageSpec(folder_of(cwd), url).open()
    try:
        return storage.get_all_trials(storage.get_study_id_from_name("s"), deepcopy=False)
    except KeyError:
        return []
    finally:
        if url is not None:
            storage.engine.dispose()  # type: ignore[attr-defined]


def running_workers(cwd: Path, url: str | None = None) -> dict[int, int]:
    """Return the process id of each running trial's worker, by trial number."""
    running = [trial for trial in trials_of(cwd, url) if trial.state.name == "RUNNING"]
    return {
        trial.number: int(trial.user_attrs[LEASE].split(":")[-2]) for trial in running if trial.user_attrs.get(LEASE)
    }


def starts_of(cwd: Path, number: int) -> list[int]:
    """Return how many epochs a trial had behind it at each of its starts."""
    return [int(line) for line in (folder_of(cwd) / str(number) / "starts").read_text().split()]


def wait_until(ready: Callable[[], bool], timeout_seconds: float = 60, what: str = "") -> None:
    until = time.monotonic() + timeout_seconds
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {timeout_seconds} s in vain{f' for {what}' if what else ''}")
        time.sleep(0.05)
