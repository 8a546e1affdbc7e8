"""From what a user names to picture files: a file, a folder, a pattern."""

from __future__ import annotations

import glob
import os
import re
from functools import cache
from pathlib import Path

from PIL import Image

from maskrcnn_exp.errors import DataError

__all__ = ["NamedPicture", "find_pictures", "is_picture"]

NamedPicture = tuple[Path, Path]
"""The file, and where it lies below what was named: what output is called after."""


def find_pictures(named: str) -> list[NamedPicture]:
    """Return the pictures that `named` means, in natural order.

    Args:
        named: A file, whatever its suffix; a folder, for every file in it and below it whose suffix is a picture's; or
            a pattern with `*`, `?`, `[…]` or `**`.

    Raises:
        DataError: there is none.
    """
    path = Path(named).expanduser()
    if path.is_file():
        return [(path, Path(path.name))]
    if path.is_dir():
        found = [(file, file.relative_to(path)) for file in path.rglob("*") if is_picture(file)]
        expected = f"files with a picture's suffix, such as {', '.join(sorted(_suffixes())[:6])} …"
    else:
        files = [Path(match) for match in glob.glob(str(path), recursive=True)]
        root = Path(os.path.dirname(re.split(r"[*?\[]", str(path), maxsplit=1)[0]))
        found = [(file, file.relative_to(root)) for file in files if file.is_file()]
        expected = "a file, a folder or a pattern; quote a pattern, so that the shell leaves it alone"
    if not found:
        raise DataError(f"images={named}: no picture there. Expected {expected}.")
    return sorted(found, key=lambda pair: _natural(pair[1]))


def is_picture(file: Path) -> bool:
    """Tell whether there is a file with the suffix of a picture."""
    return file.suffix.lower() in _suffixes() and file.is_file()


@cache
def _suffixes() -> frozenset[str]:
    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return frozenset(readable - {".pdf", ".h5", ".hdf", ".mpg", ".mpeg"})  # PIL's list names files that it cannot read


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Numbers by their size, and before letters."""
    parts = filter(None, re.split(r"(\d+)", path.as_posix()))
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
