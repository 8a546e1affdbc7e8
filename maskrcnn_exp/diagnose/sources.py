"""From what a user names to curves: run folders, study folders, and logs of other programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from maskrcnn_exp.diagnose import own_record
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.foreign import curves_of_log
from maskrcnn_exp.diagnose.foreign_files import LOG_FILES, read_events, read_log_file
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.history import EVENT_FILES, History

__all__ = ["FORKS", "curves_at", "runs_under"]

FORKS: Final = "verify"
"""Beside a run's record: its forks, which are no runs of their own for a study."""

_EVENTS: Final = "*tfevents*"


def runs_under(path: Path) -> list[Path]:
    """Return the runs that a path names: itself, or, for a folder without a log, those below it in natural order.

    A study's folder gives its trials without their forks of `--verify`, MMDetection's `work_dir` the `vis_data` folders
    of its starts.

    Raises:
        DataError: there is nothing, or no log.
    """
    if path.is_file() or (path.is_dir() and _has_log(path)):
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder. Give a run folder, a study folder, or a log file.")
    found = {events.parent for events in path.rglob(EVENT_FILES)}
    found |= {log.parent for name in LOG_FILES[:3] for log in path.rglob(name)}
    found = {run for run in found if FORKS not in run.relative_to(path).parts}
    if not found:
        raise DataError(
            f"{path}: no record in this folder or below it. Expected {EVENT_FILES}, or one of {', '.join(LOG_FILES)}."
        )
    return sorted(found, key=_natural)


def curves_at(path: Path) -> Curves:
    """Return the curves of one run.

    Raises:
        DataError: no record is there, or not all five losses are in it.
    """
    if path.is_file() and "tfevents" not in path.name:
        return curves_of_log(read_log_file(path), str(path))
    folder = path.parent if path.is_file() else path
    if any(folder.glob(_EVENTS)):
        history = History.read(folder)
        if own_record.is_own(history):
            return own_record.curves_of(history, str(path))
        log = _log_in(folder)
        try:
            return curves_of_log(read_events(history), str(path))
        except DataError:
            if log is None:
                raise
        return curves_of_log(read_log_file(log), str(log))
    log = _log_in(folder)
    if log is None:
        raise DataError(f"{path}: no record. Expected {EVENT_FILES}, or one of {', '.join(LOG_FILES)}.")
    return curves_of_log(read_log_file(log), str(log))


def _has_log(folder: Path) -> bool:
    if any(folder.glob(_EVENTS)):
        return _is_run(folder)
    return _log_in(folder) is not None


def _is_run(folder: Path) -> bool:
    """Say whether event files hold a run; a study's own hold none and its trials lie below."""
    below = any(folder.glob(f"*/{EVENT_FILES}"))
    return not below or own_record.is_own(History.read(folder))


def _log_in(folder: Path) -> Path | None:
    return next((log for name in LOG_FILES for log in sorted(folder.glob(name))), None)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path)) if part]
