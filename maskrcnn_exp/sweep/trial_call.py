"""The call of the program for one trial: its configuration, where its output goes, and whose its exceptions are."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskrcnn_exp.errors import Interrupted, Pruned, UserError
from maskrcnn_exp.stop import STOP_SIGNALS

__all__ = ["call_program", "is_hydras", "is_programs_exit", "is_submitits", "output_to", "own_signals"]


def call_program(context: Any, task: Any, config: Any, words: list[str], number: int) -> object:
    """Compose the trial's configuration and call the program, as Hydra's own launcher does; raise what it raised.

    Args:
        context: What Hydra knows of the configuration's sources.
        task: The program.
        config: The sweep's own Hydra configuration.
        words: The trial's overrides.
        number: The trial's.
    """
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher
    from hydra.core.utils import JobStatus

    launcher = BasicLauncher()
    launcher.setup(hydra_context=context, task_function=task, config=config)
    try:
        (result,) = launcher.launch([words], initial_job_idx=number)
        if result.status == JobStatus.COMPLETED:
            return result.return_value
        raise result._return_value  # `return_value` would print it first
    except (UserError, Interrupted, Pruned) as error:
        print(f"{type(error).__name__}: {error}".removesuffix(": "))  # expected ends: a traceback would only frighten
        raise
    except Exception:
        traceback.print_exc()
        raise


@contextmanager
def output_to(path: Path, quiet: bool) -> Iterator[None]:
    """Send what this process and its children print into a file while the context is open."""
    if not quiet:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for kept, descriptor in zip(saved, (1, 2), strict=True):
            os.dup2(kept, descriptor)
            os.close(kept)


@contextmanager
def own_signals() -> Iterator[None]:
    """Take back what asks to stop from a program that leaves its handlers behind: this worker would hear nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {which: signal.getsignal(which) for which in STOP_SIGNALS}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def is_programs_exit(error: BaseException) -> bool:
    """Say whether the program called `sys.exit`; submitit does so too, when it has put its job back in the queue."""
    return isinstance(error, SystemExit) and "SUBMITIT_EXECUTOR" not in os.environ


def is_submitits(error: BaseException | None) -> bool:
    """Say whether submitit ended the job, at its time limit, rather than the trial itself."""
    return type(error).__module__.partition(".")[0] == "submitit"


def is_hydras(error: BaseException) -> bool:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    return isinstance(error, HydraException | OmegaConfBaseException)
