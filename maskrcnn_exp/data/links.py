"""Links in a folder of data that lead out of it.

Whoever packed the folder decides where its links lead: a picture or a mask could be any file of the reader's machine.
So they are refused, unless the reader says that the links are their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from maskrcnn_exp.errors import DataError

__all__ = ["refuse_links_out"]


def refuse_links_out(base: Path, parts: Iterable[Path]) -> None:
    """Check that no link in these parts leads out of the folder.

    Only names are listed: 0.1 s for COCO's 118,000 pictures. `base` itself may be a link, the user named it.

    Args:
        base: The folder that the user named.
        parts: What is read of it: files, and folders with all below them.

    Raises:
        DataError: one does.
    """
    inside = os.path.realpath(base)
    for part in parts:
        for link in _links(part):
            target = os.path.realpath(link)
            if os.path.commonpath([inside, target]) != inside:
                raise DataError(
                    f"{link}: this link leads out of {base}, to {target}. Expected links within it. "
                    "Where you laid them yourself: dataset.follow_links=true."
                )


def _links(part: Path) -> Iterator[str]:
    """Yield the part itself, which its parents may take elsewhere, and each link below it.

    A folder that a link leads to is not walked: it lies inside, where it is walked under its own name, or is refused.
    """
    yield str(part)
    for folder, _, _ in os.walk(part):
        with os.scandir(folder) as entries:
            yield from (entry.path for entry in entries if entry.is_symlink())
