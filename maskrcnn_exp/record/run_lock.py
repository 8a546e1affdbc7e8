"""One training per run folder: two would cut each other's record and overwrite each other's checkpoints."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from maskrcnn_exp.errors import BusyError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["RunLock"]


class RunLock:
    """The right to write into a run's folder: a lock on its file `.lock`, which holds the process's id.

    The kernel frees it when the process dies, however it dies. It binds processes, not threads. Where the system or the
    file system has no such locks there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; the folder is made where it is absent.

        Raises:
            BusyError: another process holds it.
        """
        if fcntl is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            # lockf, not flock: it works over NFS, and a forked loader worker that outlives its parent does not keep it.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace")
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise BusyError(_taken(self._folder, holder)) from error
            return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Free the lock; without effect where it is not held. The file stays: another process may wait to lock it."""
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None


def _taken(folder: Path, holder: str) -> str:
    process, stop = (
        (f"process {holder}", f"stop it (kill {holder}: it saves first)") if holder else ("a process", "stop it")
    )
    return f"run_dir={folder}: {process} trains in this folder. Wait for it, {stop}, or use another run_dir."
