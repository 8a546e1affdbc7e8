"""Files that others read are either old or new, never half: write beside, sync, rename."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

__all__ = [
    "remove_leftovers",
    "sync_folder",
    "temporary_beside",
    "write_atomic",
    "write_json_atomic",
    "write_text_atomic",
]

_TEMPORARY: Final = re.compile(r"\.(?:writing|linking)-(\d{1,9})-\d+\.tmp")  # process id, then a time


def write_atomic(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Replace `path` by what `write` puts into the file it is given.

    After a kill or a power cut at any moment `path` holds either its old or its new content. Where `write` or
    the disk fails, the error propagates, `path` is untouched and nothing is left beside it.

    Args:
        path: Its folder must exist. A symbolic link is replaced, not followed.
        write: Gets a binary file, open for writing. Called once.

    Raises:
        OSError: the disk is full, or the folder is absent or read-only.
    """
    temporary = temporary_beside(path, "writing")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def temporary_beside(path: Path, action: Literal["writing", "linking"]) -> Path:
    """Return a name in the folder of `path` for a file that is about to take its place; nothing is created."""
    # The name has nothing of the target's: TensorBoard reads every file with "tfevents" in its name.
    return path.with_name(f".{action}-{os.getpid()}-{time.monotonic_ns()}.tmp")


def remove_leftovers(folder: Path) -> list[Path]:
    """Delete what killed processes were writing in `folder`, and return what was deleted, sorted by name.

    A file whose process lives stays, also where another process has got its id since. Subfolders are not looked
    into; an absent folder has no leftovers. Only for a folder that no other machine writes to: the ids of its
    processes mean nothing here.
    """
    leftovers = []
    for path in sorted(folder.glob(".*.tmp")):
        name = _TEMPORARY.fullmatch(path.name)
        if name is not None and not _lives(int(name[1])):
            path.unlink(missing_ok=True)
            leftovers.append(path)
    return leftovers


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` as UTF-8."""

    def write(file: BinaryIO) -> None:
        file.write(text.encode())

    write_atomic(path, write)


def write_json_atomic(path: Path, data: object) -> None:
    """Write `data` as indented JSON. NaN and infinity become the strings "nan", "inf", "-inf"; a Path its text."""
    write_text_atomic(path, json.dumps(_plain(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)  # signal 0 is not sent, only checked
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process
        return True
    return True


def _plain(data: object) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    if isinstance(data, Path):
        return str(data)
    if isinstance(data, Mapping):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return [_plain(value) for value in data]
    return data
