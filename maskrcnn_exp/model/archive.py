"""Whether a torch file is as it was written: torch reads its entries without looking at their sums."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

__all__ = ["check_archive"]

_FOLDER = 0x10  # in a zip entry's attributes, MS-DOS's


def check_archive(path: Path) -> None:
    """Raise BadZipFile where `path` is no zip archive, or not as torch.save left it: a single flipped bit is noticed.

    torch stores its entries as they are. One that is packed could unfold to any size, and of two with one name torch
    may read the one that was not looked at.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        # torch reads an entry that is marked as a folder as zeros.
        changed = next((entry.filename for entry in entries if entry.external_attr & _FOLDER), None)
        packed = next((entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED), None)
        twice = next((name for name, count in Counter(archive.namelist()).items() if count > 1), None)
        if packed or twice:
            raise zipfile.BadZipFile(f"{packed or twice} is packed or there twice, which torch.save does not do")
        changed = changed or archive.testzip()
    if changed is not None:
        raise zipfile.BadZipFile(f"the bytes of {changed} have changed since they were written")
