"""A run's folder belongs to one process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.record import run_lock
from maskrcnn_exp.record.run_lock import RunLock

REPOSITORY = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from maskrcnn_exp.record.run_lock import RunLock
RunLock.keep = RunLock(Path(sys.argv[1]))
RunLock.keep.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process_holds(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with the lock of `folder`; killed when the context ends, if it was not before."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def test_a_second_process_hears_whose_folder_it_is_and_what_to_do(tmp_path: Path) -> None:
    with another_process_holds(tmp_path) as holder, pytest.raises(ConfigError) as caught:
        RunLock(tmp_path).acquire()
    assert str(caught.value) == (
        f"run_dir={tmp_path}: process {holder.pid} trains in this folder. "
        f"Wait for it, stop it (kill {holder.pid}: it saves first), or use another run_dir."
    )


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with another_process_holds(tmp_path) as holder:
        holder.kill()
        holder.wait()
        lock = RunLock(tmp_path)
        lock.acquire()
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
        lock.release()


def test_a_released_folder_is_free_and_names_nobody(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "new")
    lock.acquire()
    lock.release()
    lock.release()
    assert (tmp_path / "new/.lock").read_text() == ""
    with another_process_holds(tmp_path / "new"):
        pass


def test_other_folders_are_free(tmp_path: Path) -> None:
    with another_process_holds(tmp_path / "a"):
        lock = RunLock(tmp_path / "b")
        lock.acquire()
        lock.release()


def test_a_system_without_locks_trains_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "fcntl", None)
    with another_process_holds(tmp_path):
        lock = RunLock(tmp_path)
        lock.acquire()
        lock.release()


def test_a_file_system_without_locks_trains_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(run_lock.fcntl, "lockf", refuse)
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()
