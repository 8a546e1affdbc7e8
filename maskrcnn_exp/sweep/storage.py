"""Where a study lives: Optuna's journal in the study's folder, or any Optuna storage URL for many machines."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.record.secrets import mask_urls

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["StorageSpec", "file_lock"]

JOURNAL: Final = "study.journal"
_LOCK: Final = ".study.lock"


@dataclass(frozen=True)
class StorageSpec:
    """How to reach a study's storage from any process; picklable. `repr` and `shown` never hold a password."""

    folder: Path  # the study's folder
    url: str | None = None  # an Optuna storage URL; None: the journal in `folder`

    def __repr__(self) -> str:
        return f"StorageSpec({self.shown!r})"

    @property
    def shown(self) -> str:
        """For people: the journal's path, or the URL without its password."""
        return str(self.folder / JOURNAL) if self.url is None else mask_urls(self.url)

    def open(self) -> BaseStorage:
        """Connect. Each process, and each thread that writes, opens its own.

        Raises:
            ConfigError: the URL is not one of SQLAlchemy's, its driver is not installed, or nobody answers there.
        """
        if self.url is None:
            return _open_journal(self.folder / JOURNAL)
        return _open_url(self.url, self.shown)

    @contextmanager
    def lock(self, storage: BaseStorage) -> Iterator[None]:
        """Hold the study alone, over processes and machines; released when the holder dies.

        A server's own advisory lock where there is one; for files a lock in the study's folder.
        """
        engine = getattr(storage, "engine", None)
        dialect = engine.dialect.name if engine is not None else ""
        if engine is None or dialect not in _SERVER_LOCKS:
            with file_lock(self.folder / _LOCK):
                yield
            return
        import sqlalchemy

        take, give = _SERVER_LOCKS[dialect]
        key = {"key": zlib.crc32(str(self.folder.name).encode())}
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(take), key)
            try:
                yield
            finally:
                connection.execute(sqlalchemy.text(give), key)


_SERVER_LOCKS: Final = {
    "postgresql": ("SELECT pg_advisory_lock(:key)", "SELECT pg_advisory_unlock(:key)"),
    "mysql": ("SELECT GET_LOCK(:key, -1)", "SELECT RELEASE_LOCK(:key)"),
}


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold `path` alone among the processes of this machine, and of others where the file system carries locks.

    The kernel releases it when its holder dies, also by kill -9.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        _lock(file.fileno())
        yield  # closing the file releases the lock


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.lockf(descriptor, fcntl.LOCK_EX)


def _open_journal(path: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    lock: Any = _JournalLock(path)  # Optuna asks for a class that it keeps private, and calls these two methods
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


class _JournalLock:
    """Optuna's own lock is a file, which outlives a killed holder by half a minute; this one dies with it."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._file: Any = None
        self._threads = threading.Lock()  # the kernel's lock is the process's: it does not part its threads

    def acquire(self) -> bool:
        self._threads.acquire()
        file = self._journal.with_name(f".{self._journal.name}.lock").open("ab")
        _lock(file.fileno())
        self._file = file
        _drop_torn_tail(self._journal)
        return True

    def release(self) -> None:
        self._file.close()
        self._threads.release()


def _drop_torn_tail(journal: Path) -> None:
    """Cut off the half line that a full disk or a power cut left, so that the next line does not grow onto it."""
    with journal.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return
        back = min(size, 1 << 20)
        file.seek(size - back)
        file.truncate(size - back + file.read(back).rfind(b"\n") + 1)


def _open_url(url: str, shown: str) -> BaseStorage:
    import sqlalchemy.exc
    from optuna.storages import RDBStorage

    options: dict[str, Any] = {}
    if not url.startswith("sqlite"):
        options = {"pool_pre_ping": True}  # a server that was restarted costs a reconnect, not an error
    try:
        return RDBStorage(_with_driver(url), engine_kwargs=options, skip_compatibility_check=False)
    except (ImportError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"hydra.sweeper.storage={shown}: its database driver is not installed ({error}). "
            "For PostgreSQL: pip install 'maskrcnn-exp[postgresql]'."
        ) from None
    except (sqlalchemy.exc.SQLAlchemyError, ValueError) as error:
        reason = mask_urls(str(error).splitlines()[0])
        raise ConfigError(
            f"hydra.sweeper.storage={shown}: {reason}. Expected an Optuna storage URL such as "
            "postgresql://USER@HOST/DATABASE that answers, or nothing for the journal in the study's folder."
        ) from None


def _with_driver(url: str) -> str:
    """SQLAlchemy takes `postgresql://` for psycopg2; psycopg 3 is its maintained successor."""
    prefix, separator, rest = url.partition("://")
    if prefix in ("postgresql", "postgres") and separator:
        return f"postgresql+psycopg://{rest}"
    return url
