"""A file is old or new, never half."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from maskrcnn_exp.record.atomic import remove_leftovers, temporary_beside, write_atomic, write_json_atomic


def writing(content: bytes) -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        file.write(content)

    return write


def test_content_replaces_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "last.pt"
    write_atomic(target, writing(b"old"))
    write_atomic(target, writing(b"new"))
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_failing_writer_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "last.pt"
    target.write_bytes(b"old")

    def full_disk(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomic(target, full_disk)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_full_disk_found_by_the_flush_is_an_error_too(tmp_path: Path) -> None:
    target = tmp_path / "last.pt"

    def write(file: BinaryIO) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file.fileno())
        os.close(full)
        file.write(b"stays in the buffer until the flush")

    with pytest.raises(OSError, match="No space left"):
        write_atomic(target, write)
    assert list(tmp_path.iterdir()) == []


def test_absent_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "absent" / "last.pt", writing(b"x"))


def test_kill_in_the_middle_leaves_the_old_file_and_a_leftover_that_can_be_removed(tmp_path: Path) -> None:
    target = tmp_path / "last.pt"
    target.write_bytes(b"old")
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from maskrcnn_exp.record.atomic import write_atomic

        def die(file):
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

        write_atomic(Path(sys.argv[1]), die)
    """)
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, str(target)], cwd=root, timeout=30, check=False)
    assert target.read_bytes() == b"old"
    left = [path for path in tmp_path.iterdir() if path != target]
    assert len(left) == 1  # it cannot clean up, but nobody takes it for a checkpoint or an event file
    assert left[0].name.startswith(".writing-")
    assert remove_leftovers(tmp_path) == left
    assert list(tmp_path.iterdir()) == [target]


def dead_process_id() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=30)
    return process.pid


def test_only_leftovers_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead = dead_process_id()
    own = [temporary_beside(tmp_path / "last.pt", "linking"), temporary_beside(tmp_path / "last.pt", "writing")]
    leftovers = [tmp_path / path.name.replace(str(os.getpid()), str(dead), 1) for path in own]
    others = [
        tmp_path / name for name in (f".cache-{dead}-1.tmp", f"writing-{dead}-1.tmp", f".writing-{dead}-1.tmp.pt")
    ]
    init = tmp_path / ".writing-1-1.tmp"  # a process of somebody else, where the test is not run by root
    for path in (*leftovers, *own, *others, init):
        path.write_bytes(b"half")
    assert remove_leftovers(tmp_path) == leftovers
    assert sorted(tmp_path.iterdir()) == sorted([*own, *others, init])


def test_an_absent_folder_has_no_leftovers(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path / "checkpoints") == []


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    target = tmp_path / "verdicts.json"
    before = os.umask(0o027)
    try:
        write_json_atomic(target, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_json_holds_numbers_that_json_cannot(tmp_path: Path) -> None:
    target = tmp_path / "verdicts.json"
    write_json_atomic(target, {"loss": float("nan"), "norms": (1.5, float("-inf")), "at": Path("runs/a"), "ok": None})
    assert json.loads(target.read_text()) == {"loss": "nan", "norms": [1.5, "-inf"], "at": "runs/a", "ok": None}


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "verdicts.json"
    write_json_atomic(target, {"run": 1})
    with pytest.raises(TypeError):
        write_json_atomic(target, {"run": object()})
    assert json.loads(target.read_text()) == {"run": 1}
