"""One of a fork's two trainings, in a process of its own: started, followed, told to stop, or found done."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.sources import curves_at
from maskrcnn_exp.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    Interrupted,
    UserError,
)
from maskrcnn_exp.record.history import EVENT_FILES
from maskrcnn_exp.record.tags import TRAIN_TOTAL
from maskrcnn_exp.stop import StopFlag, stop_on_signals
from maskrcnn_exp.sweep.words import value_text

__all__ = ["Origin", "curves_so_far", "epochs_done", "train"]

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_EPOCH: Final = re.compile(r"Epoch (\d+)/")
_LAST_LINE: Final = "🎭"  # of an epoch's block
_TOLD: Final = 40  # lines of a failed training that are looked through for its error

_ERRORS: Final = {error.exit_code: error for error in (ConfigError, DataError, CheckpointError)}


@dataclass(frozen=True)
class Origin:
    """Where a run was started: what its relative paths and its own configuration folder are relative to."""

    cwd: Path
    config_dir: str | None  # of --config-dir

    @classmethod
    def of_run(cls, folder: Path) -> Origin:
        """Read what Hydra noted; this process's own folder where that is gone or says nothing."""
        noted = folder / ".hydra/hydra.yaml"
        content = yaml.safe_load(noted.read_text()) if noted.is_file() else None
        runtime = (content or {}).get("hydra", {}).get("runtime", {})
        cwd = Path(runtime.get("cwd") or ".")
        sources = runtime.get("config_sources") or []
        given = [source.get("path") for source in sources if source.get("provider") == "command-line"]
        return cls(cwd if cwd.is_dir() else Path.cwd(), given[0] if given else None)


def curves_so_far(folder: Path) -> Curves | None:
    """Return what a training has recorded; None before it has recorded anything."""
    if not any(folder.glob(EVENT_FILES)):
        return None
    with suppress(DataError):  # an event file without a point yet
        return curves_at(folder)
    return None


def epochs_done(curves: Curves | None) -> int:
    """Return the last epoch with losses; 0 without one."""
    return 0 if curves is None or not curves.has(TRAIN_TOTAL) else curves.epoch(-1)


def train(
    folder: Path, words: Sequence[str], checkpoint: Path | None, origin: Origin, heard: Callable[[int], None]
) -> None:
    """Train in `folder`, from `checkpoint` or from where an earlier call was stopped, and return at its end.

    What the training prints goes to `<folder>.log`. A training that diverges has ended too: its black box tells.

    Args:
        words: Overrides.
        checkpoint: None for a start with the run's own weights.
        heard: Called with each epoch that is over.

    Raises:
        UserError: the training cannot start or go on.
        Interrupted: a signal came; the training has saved.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    own = folder / "checkpoints/last.pt"
    source = own if own.is_file() else checkpoint
    typed = [*words, f"run_dir={value_text(str(folder.resolve()))}"]
    typed += [] if source is None else [f"resume={value_text(str(source.resolve()))}"]
    config_dir = [] if origin.config_dir is None else ["--config-dir", origin.config_dir]
    log = folder.with_name(f"{folder.name}.log")
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "maskrcnn_exp", "train", *config_dir, *typed],
        cwd=origin.cwd,  # -P: a stranger's run may name a folder with a torch.py in it
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a terminal's Ctrl-C comes to this process alone, which passes it on once
    )
    with stop_on_signals(lambda name: child.send_signal(signal.SIGINT)) as stop:
        lines = _follow(child, log, heard)
    _raise_for(child.returncode, lines, log, stop)


def _follow(child: subprocess.Popen[str], log: Path, heard: Callable[[int], None]) -> list[str]:
    """Write down what a training says until it ends; return its last lines."""
    last: list[str] = []
    epoch = 0
    try:
        with child, log.open("a", encoding="utf-8") as file:
            for line in child.stdout or ():
                file.write(line)
                file.flush()
                last = [*last[-_TOLD:], line.rstrip()]
                named = _EPOCH.match(line)
                epoch = int(named[1]) if named else epoch
                if line.startswith(_LAST_LINE):
                    heard(epoch)
    except BaseException:
        child.send_signal(signal.SIGINT)  # the second Ctrl-C: it leaves at once, as this process does
        raise
    return last


def _raise_for(code: int, lines: Sequence[str], log: Path, stop: StopFlag) -> None:
    if code in (0, DivergedError.exit_code) and not stop():
        return
    if code == Interrupted.exit_code or (stop() and code in (0, -signal.SIGINT, -signal.SIGTERM)):
        raise Interrupted
    if code == DivergedError.exit_code:
        return
    starts = [place for place, line in enumerate(lines) if re.match(r"\w+ error: ", line)]
    said = "\n".join(lines[starts[-1] if starts else -5 :])
    raise _ERRORS.get(code, UserError)(f"a training of the fork ended with exit code {code} ({log}):\n{said}")


def _environment() -> dict[str, str]:
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(_PACKAGE), *([known] if known else [])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
