"""The checkpoints of one run under their names, and in which order to try them."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from functools import partial
from pathlib import Path
from threading import Event
from typing import BinaryIO

from maskrcnn_exp.engine.checkpoint import Checkpoint, write_checkpoint
from maskrcnn_exp.engine.checkpoint_peek import read_progress
from maskrcnn_exp.errors import CheckpointError
from maskrcnn_exp.record.atomic import sync_folder, temporary_beside, write_atomic

__all__ = ["CheckpointFolder"]


class CheckpointFolder:
    """The checkpoints of one run: `last.pt`, `best.pt`, and `epoch_0007.pt` for the newest few epochs."""

    def __init__(self, folder: Path, keep: int = 0) -> None:
        self.folder = folder
        self.keep = keep

    @property
    def last(self) -> Path:
        return self.folder / "last.pt"

    @property
    def best(self) -> Path:
        return self.folder / "best.pt"

    def newest_first(self) -> list[Path]:
        """Return all that are there: `last.pt`, then the others by how far they got; what cannot be read comes last."""
        others = [path for path in sorted(self.folder.glob("*.pt")) if path != self.last]
        return [*([self.last] if self.last.is_file() else []), *sorted(others, key=_steps, reverse=True)]

    def good_before(self, step: int, tried: Collection[int] = ()) -> Path | None:
        """Return the newest checkpoint from which the optimiser took a finite step before `step`; None without one.

        `best.pt` is left aside: after a rollback it may be of steps that were undone.

        Args:
            step: The one that was not finite.
            tried: Steps of checkpoints that did not help. One of another step goes first; else the oldest, once more.
        """
        steps = {path: _steps(path) for path in self.newest_first() if path != self.best}
        good = [path for path, done in steps.items() if 0 <= done < step - 1]
        untried = [path for path in good if steps[path] not in tried]
        return untried[0] if untried else good[-1] if good else None

    def drop_after(self, step: int) -> None:
        """Delete `epoch_….pt` of steps after `step`: they were undone."""
        for path in self.folder.glob("epoch_*.pt"):
            if _steps(path) > step:
                path.unlink()

    def save(
        self, checkpoint: Checkpoint, *, best: bool = False, epoch: int | None = None, hurry: Event | None = None
    ) -> None:
        """Replace `last.pt`; also name it `best.pt` and `epoch_….pt` where asked for. On the disk when this returns.

        The names are hard links to the same bytes (copies where the file system has none), so that a checkpoint is
        written once. `last.pt` comes last: whoever goes on from it counts on a `best.pt` that is as new.

        Args:
            hurry: As for `write_checkpoint`.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        self.folder.mkdir(exist_ok=True)  # a run's folder that is gone is not made anew
        numbered = [self.folder / f"epoch_{epoch:04d}.pt"] if epoch is not None and self.keep > 0 else []
        first, *links = [*numbered, *([self.best] if best else []), self.last]
        write_checkpoint(first, checkpoint, hurry)
        for name in links:
            _link(first, name)
        if numbered:
            for old in sorted(self.folder.glob("epoch_*.pt"))[: -self.keep]:
                old.unlink()
        sync_folder(self.folder)


def _steps(path: Path) -> int:
    try:
        return int(read_progress(path)["step"])
    except CheckpointError:
        return -1


def _link(source: Path, name: Path) -> None:
    """Let `name` be the same file, at once."""
    temporary = temporary_beside(name, "linking")
    try:
        temporary.hardlink_to(source)
    except OSError:  # no hard links here
        write_atomic(name, partial(_copy, source))
        return
    try:
        temporary.replace(name)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _copy(source: Path, file: BinaryIO) -> None:
    with source.open("rb") as original:
        shutil.copyfileobj(original, file)
