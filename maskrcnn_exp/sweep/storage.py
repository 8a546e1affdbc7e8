"""Where a study lives: Optuna's journal in the study's folder, or any Optuna storage URL for many machines."""

from __future__ import annotations

import errno
import os
import re
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.record.secrets import mask_urls

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["StorageAway", "StorageSpec", "file_lock", "is_away", "patiently"]

JOURNAL: Final = "study.journal"
_LOCK: Final = ".study.lock"
_RETRY_SECONDS: Final = 0.5
_OPENINGS: Final = 20  # of a new database by several processes at once, each of which wants to create its tables

_SQLITE_FILE: Final = re.compile(r"(?P<before>sqlite(?:\+\w+)?:///(?:file:)?)(?P<path>[^?]+)(?P<after>.*)", re.DOTALL)

_threads: Final[defaultdict[str, threading.Lock]] = defaultdict(threading.Lock)
"""A lock of the kernel is the process's: it does not part its threads, and whoever closes the file drops it for all."""

T = TypeVar("T")


class StorageAway(ConfigError):  # noqa: N818 - it names a state
    """Nobody answers at the storage's URL, or not any more."""


def patiently(action: Callable[[], T], seconds: float) -> T:
    """Return what `action` returns; where the storage's server is away, try again for up to `seconds`.

    Raises:
        Exception: whatever else `action` raises, and its last error when the time is over.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return action()
        except Exception as error:
            if not is_away(error) or time.monotonic() > until:
                raise
        time.sleep(_RETRY_SECONDS)


def is_away(error: BaseException) -> bool:
    """Say whether an error means that the storage's server does not answer, for now.

    Optuna wraps every error of SQLAlchemy alike; the cause tells a lost connection from bad data.
    """
    if isinstance(error, StorageAway):
        return True
    from optuna.exceptions import StorageInternalError

    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if cause is None or not type(cause).__module__.startswith("sqlalchemy"):
        return False
    from sqlalchemy.exc import InterfaceError, OperationalError, PendingRollbackError

    if isinstance(cause, PendingRollbackError):
        # Optuna asks once more after a failed read, in a session that still mourns the connection lost in it.
        return cause.__context__ is not None and is_away(cause.__context__)
    return isinstance(cause, OperationalError | InterfaceError)


@dataclass(frozen=True)
class StorageSpec:
    """How to reach a study's storage from any process; picklable. `repr` and `shown` never hold a password."""

    folder: Path  # the study's folder
    url: str | None = None  # an Optuna storage URL; None: the journal in `folder`

    def __post_init__(self) -> None:
        # Where hydra.job.chdir is set, each trial stands in a folder of its own.
        if self.url is not None:
            object.__setattr__(self, "url", _absolute_sqlite(self.url))

    def __repr__(self) -> str:
        return f"StorageSpec({self.shown!r})"

    @property
    def shown(self) -> str:
        """For people: the journal's path, or the URL without its password."""
        return str(self.folder / JOURNAL) if self.url is None else mask_urls(self.url)

    def open(self) -> BaseStorage:
        """Connect. Each process, and each thread that writes, opens its own.

        Raises:
            ConfigError: the URL is not one of SQLAlchemy's, or its driver is not installed.
            StorageAway: nobody answers there, or not to this user.
        """
        if self.url is None:
            return _open_journal(self.folder / JOURNAL)
        return _open_url(self.url, self.shown)

    @contextmanager
    def lock(self, storage: BaseStorage, study_name: str) -> Iterator[None]:
        """Hold the study alone, over processes and machines; released when the holder dies.

        A server's own advisory lock where there is one; for files a lock in the study's folder.
        Not to be taken twice by one process.
        """
        engine = getattr(storage, "engine", None)
        dialect = engine.dialect.name if engine is not None else ""
        if engine is None or dialect not in _SERVER_LOCKS:
            with file_lock(self.folder / _LOCK):
                yield
            return
        import sqlalchemy

        take, give = _SERVER_LOCKS[dialect]
        key = {"key": zlib.crc32(study_name.encode())}
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(take), key)
            try:
                yield
            finally:
                with suppress(sqlalchemy.exc.DBAPIError):  # with a lost connection the lock is gone as well
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
    with _threads[str(path)], path.open("ab") as file:
        _lock(file.fileno())
        yield  # closing the file releases the lock


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
        return
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            return
        except OSError as error:
            # The kernel thinks in processes: one thread holds the study and another waits for the journal, and the
            # other way round in the next process, is no deadlock, because nobody takes them in the other order.
            if error.errno != errno.EDEADLK:
                raise
        time.sleep(0.001)


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
        self._held: Any = None

    def acquire(self) -> bool:
        held = file_lock(self._journal.with_name(f".{self._journal.name}.lock"))
        held.__enter__()
        self._held = held
        _drop_torn_tail(self._journal)
        return True

    def release(self) -> None:
        self._held.__exit__(None, None, None)


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
        return _at_once(lambda: RDBStorage(_with_driver(url), engine_kwargs=options))
    except (ImportError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"hydra.sweeper.storage={shown}: its database driver is not installed ({error}). "
            "For PostgreSQL: pip install 'maskrcnn-exp[postgresql]'."
        ) from None
    except (sqlalchemy.exc.SQLAlchemyError, ValueError) as error:
        reason = mask_urls(str(error).splitlines()[0])
        kind = StorageAway if is_away(error) else ConfigError
        raise kind(
            f"hydra.sweeper.storage={shown}: {reason}. Expected an Optuna storage URL such as "
            "postgresql://USER@HOST/DATABASE that answers, or nothing for the journal in the study's folder."
        ) from None


def _at_once(connect: Callable[[], BaseStorage]) -> BaseStorage:
    """Connect while others may be creating the same tables: who comes second is refused by the database."""
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    for _ in range(_OPENINGS):
        try:
            return connect()
        except (IntegrityError, ProgrammingError) as error:
            if "exist" not in str(error.orig) and "unique" not in str(error.orig):
                raise
        except OperationalError as error:
            if "already exists" not in str(error.orig):  # SQLite's words
                raise
        time.sleep(0.1)
    return connect()


def _absolute_sqlite(url: str) -> str:
    """Return the URL of an SQLite file with its path from the root; any other URL, and one in memory, as it is."""
    match = _SQLITE_FILE.fullmatch(url)
    if match is None or match["path"].startswith(":memory:"):
        return url
    return f"{match['before']}{Path(match['path']).absolute()}{match['after']}"


def _with_driver(url: str) -> str:
    """SQLAlchemy takes `postgresql://` for psycopg2; psycopg 3 is its maintained successor."""
    prefix, separator, rest = url.partition("://")
    if prefix in ("postgresql", "postgres") and separator:
        return f"postgresql+psycopg://{rest}"
    return url
