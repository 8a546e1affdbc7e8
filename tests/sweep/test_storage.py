"""The journal and its locks, with real files and real processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DataError, OperationalError, PendingRollbackError

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep import storage as storage_module
from maskrcnn_exp.sweep.storage import StorageAway, StorageSpec, file_lock, is_away, patiently


def _study(folder: Path) -> optuna.Study:
    return optuna.create_study(storage=StorageSpec(folder).open(), study_name="s", load_if_exists=True)


def _hold(path: Path, told: Path) -> None:
    with file_lock(path):
        told.touch()
        time.sleep(60)


def _ask_many(folder: Path, times: int) -> None:
    study = _study(folder)
    for _ in range(times):
        study.tell(study.ask(), 1.0)


def test_a_journal_is_read_by_another_connection(tmp_path: Path) -> None:
    study = _study(tmp_path)
    study.tell(study.ask(), 3.0)
    assert [trial.value for trial in _study(tmp_path).trials] == [3.0]


def test_a_half_line_at_the_end_is_cut_off_before_the_next_line(tmp_path: Path) -> None:
    """A full disk or a power cut can leave half a line; Optuna's own backend then never reads the journal again."""
    study = _study(tmp_path)
    study.tell(study.ask(), 1.0)
    journal = tmp_path / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x","tri')
    again = _study(tmp_path)
    again.tell(again.ask(), 2.0)
    assert [trial.value for trial in _study(tmp_path).trials] == [1.0, 2.0]


def test_eight_processes_write_one_journal_without_losing_a_trial(tmp_path: Path) -> None:
    _study(tmp_path)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_ask_many, args=(tmp_path, 5)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    trials = _study(tmp_path).trials
    assert [process.exitcode for process in processes] == [0] * 8
    assert sorted(trial.number for trial in trials) == list(range(40))
    assert all(trial.value == 1.0 for trial in trials)


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    """Optuna's own lock file would be waited for for 30 seconds."""
    told = tmp_path / "told"
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path / "lock", told))
    process.start()
    while not told.exists():
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    started = time.monotonic()
    with file_lock(tmp_path / "lock"):
        assert time.monotonic() - started < 5
    process.join()


def test_a_storage_is_shown_without_its_password(tmp_path: Path) -> None:
    spec = StorageSpec(tmp_path, "postgresql://ana:s3cret@host/studies")
    assert "s3cret" not in spec.shown + repr(spec)
    assert "ana" in spec.shown


@pytest.mark.parametrize("url", ["postgresql://ana:s3cret@127.0.0.1:1/none", "nonsense://ana:s3cret@x/y"])
def test_a_storage_that_does_not_answer_is_one_message_without_its_password(url: str, tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.storage=") as caught:
        StorageSpec(tmp_path, url).open()
    assert "s3cret" not in str(caught.value)


def test_sqlite_works_and_is_locked_by_a_file(tmp_path: Path) -> None:
    spec = StorageSpec(tmp_path, f"sqlite:///{tmp_path}/study.db")
    storage = spec.open()
    with spec.lock(storage, "s"):
        assert (tmp_path / ".study.lock").exists()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///study.db", "sqlite:///{cwd}/study.db"),
        ("sqlite+pysqlite:///data/study.db?timeout=5", "sqlite+pysqlite:///{cwd}/data/study.db?timeout=5"),
        ("sqlite:///file:study.db?uri=true", "sqlite:///file:{cwd}/study.db?uri=true"),
        ("sqlite:////data/study.db", "sqlite:////data/study.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("postgresql://ana@host/studies", "postgresql://ana@host/studies"),
    ],
)
def test_a_relative_sqlite_file_is_the_same_one_from_every_folder(
    url: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert StorageSpec(tmp_path, url).url == expected.format(cwd=tmp_path)


def test_a_lock_parts_the_threads_of_one_process_too(tmp_path: Path) -> None:
    """The kernel's lock does not, and a thread that closes the file would drop it for the others."""
    order: list[str] = []

    def wait_for_it() -> None:
        with file_lock(tmp_path / "lock"):
            order.append("second")

    with file_lock(tmp_path / "lock"):
        thread = threading.Thread(target=wait_for_it)
        thread.start()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def _lock_crosswise(folder: Path, times: int) -> None:
    """As a worker does: one thread holds the study and then the journal, its heartbeat only the journal."""

    def beat() -> None:
        for _ in range(times):
            with file_lock(folder / "journal"):
                time.sleep(0.001)

    thread = threading.Thread(target=beat)
    thread.start()
    for _ in range(times):
        with file_lock(folder / "study"), file_lock(folder / "journal"):
            time.sleep(0.001)
    thread.join()


def test_threads_that_wait_for_two_locks_are_not_taken_for_a_deadlock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_lock_crosswise, args=(tmp_path, 200)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]


def wrapped(cause: Exception, before: Exception | None = None) -> Exception:
    """An error as Optuna raises it, from the one of SQLAlchemy that came while `before` was dealt with."""
    cause.__context__ = before
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = cause
    return error


def test_a_connection_that_is_lost_in_a_read_means_away_and_bad_data_does_not() -> None:
    lost = OperationalError("SELECT", {}, Exception("terminating connection due to administrator command"))
    assert is_away(lost)
    assert is_away(wrapped(lost))
    # Optuna asks a second time, in the session that lost its connection.
    assert is_away(wrapped(PendingRollbackError("Can't reconnect until invalid transaction is rolled back."), lost))
    bad = DataError("INSERT", {}, Exception("value too long"))
    assert not is_away(bad)
    assert not is_away(wrapped(bad))
    assert not is_away(wrapped(PendingRollbackError("This session has been rolled back."), bad))
    assert not is_away(wrapped(PendingRollbackError("This session has been rolled back.")))
    assert not is_away(ValueError("another error"))


def test_a_storage_that_is_away_for_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "_RETRY_SECONDS", 0)
    answers = iter([StorageAway("no"), StorageAway("no"), 3])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patiently(ask, 60) == 3
    answers = iter([StorageAway("no")])
    with pytest.raises(StorageAway):
        patiently(ask, -1)
    answers = iter([ValueError("another error")])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="another error"):
        patiently(ask, 60)
