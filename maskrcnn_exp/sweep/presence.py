"""Who is alive among the workers of a study: on this machine by a lock, elsewhere by a heartbeat in the storage."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from maskrcnn_exp.sweep.storage import StorageSpec

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["Presence", "Watch", "a_worker_lives"]

_BEAT: Final = "heartbeat/"
_LOCKS: Final = ".workers"
_own: Final[set[str]] = (
    set()
)  # workers of this process: closing a file drops its process's locks on it, so it never looks


def _machine() -> str:
    """Name this machine since its last start: a lease from before a restart is nobody's any more."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        boot = ""
    return f"{platform.node()}:{boot}"


class Presence:
    """A worker's proof of life: a lock that the kernel drops with the process, and a heartbeat for other machines."""

    def __init__(
        self, storage: StorageSpec, study_name: str, beat_seconds: float, *, orphans_stop: bool = False
    ) -> None:
        """With `orphans_stop` this process gets a SIGTERM when the one that spawned it is gone."""
        self.name = f"{_machine()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self._storage = storage
        self._study_name = study_name
        self._seconds = beat_seconds
        # Not getppid: it may be another process's by now, where the parent died while this one was starting.
        self._parent = multiprocessing.parent_process() if orphans_stop else None
        self.is_orphan = False  # a program may have its own idea of SIGTERM: look here too
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._path = _lock_path(storage.folder, self.name)
        self._lock: Any = None

    def __enter__(self) -> Presence:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._path.open("ab")
        _try_lock(self._lock.fileno())
        _own.add(self.name)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._path.unlink(missing_ok=True)
        self._lock.close()
        _own.discard(self.name)

    def _beat(self) -> None:
        storage: BaseStorage | None = None
        for count in itertools.count():
            try:
                storage = storage or self._storage.open()
                study_id = storage.get_study_id_from_name(self._study_name)
                storage.set_study_user_attr(study_id, _BEAT + self.name, count)
            except Exception:  # the storage may be away for a moment; the next beat tries again
                storage = None
            if self._wait_for_next():
                return

    def _wait_for_next(self) -> bool:
        """Wait one heartbeat long, with an eye on the parent; return True where this is the end."""
        until = time.monotonic() + self._seconds
        while time.monotonic() < until:
            if self._stop.wait(min(1.0, self._seconds)):
                return True
            if self._parent is not None and not self.is_orphan and not self._parent.is_alive():
                self.is_orphan = True
                os.kill(os.getpid(), signal.SIGTERM)
        return False


@dataclass
class Watch:
    """Tells the dead from the living. A heartbeat is compared by this process's own clock, so clocks may differ."""

    folder: Path  # the study's
    grace_seconds: float  # a heartbeat of another machine that stood still this long is a dead worker's
    _seen: dict[str, tuple[object, float]] = field(default_factory=dict)  # name → beat, when it was first seen

    def is_dead(self, name: str, study_attrs: Mapping[str, Any]) -> bool:
        """Say whether the worker `name` is gone.

        On another machine, or where files cannot be locked, this takes `grace_seconds` to find out.
        """
        if name in _own:
            return False
        machine, here = name.rsplit(":", 2)[0], _machine()
        if machine == here:
            locked = _is_locked(_lock_path(self.folder, name))
            if locked is not None:
                return not locked
        elif machine.split(":")[0] == here.split(":")[0]:
            return True  # this machine was restarted since
        beat, now = study_attrs.get(_BEAT + name), time.monotonic()
        known, since = self._seen.get(name, (None, now))
        if name not in self._seen or known != beat:
            self._seen[name] = (beat, now)
            return False
        return now - since > self.grace_seconds


def a_worker_lives(folder: Path) -> bool:
    """Say whether some process holds a worker's lock in a study's folder. Not for a process that is a worker itself."""
    return any(_is_locked(path) is True for path in (folder / _LOCKS).glob("*") if path.is_file())


def _lock_path(folder: Path, name: str) -> Path:
    return folder / _LOCKS / name.rpartition(":")[2]


def _is_locked(path: Path) -> bool | None:
    """Say whether a living process holds the file; None where there are no locks: then only time tells."""
    try:
        file = path.open("rb+")
    except FileNotFoundError:
        return False
    with file:
        got = _try_lock(file.fileno())
    return None if got is None else not got


def _try_lock(descriptor: int) -> bool | None:
    """Return True where this process holds the lock now, False where another does, None where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN) else None
    return True
