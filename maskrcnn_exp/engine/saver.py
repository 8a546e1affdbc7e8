"""When a run is saved, and what goes into the file; the training waits for a copy in memory, not for the disk."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from maskrcnn_exp.engine.checkpoint import Checkpoint
from maskrcnn_exp.engine.checkpoint_folder import CheckpointFolder
from maskrcnn_exp.engine.meter import EpochMeter
from maskrcnn_exp.engine.runtime import on_first
from maskrcnn_exp.engine.snapshot import SnapshotMemory
from maskrcnn_exp.engine.state import TrainState
from maskrcnn_exp.errors import CheckpointError, WriteError
from maskrcnn_exp.record.run_log import RunLog

__all__ = ["RunIdentity", "Saver"]


@dataclass(frozen=True)
class RunIdentity:
    """What a checkpoint carries so that it can be evaluated and resumed by itself."""

    categories: list[list[object]]  # [id, name], in the order of the labels
    detections_per_image: int
    config: str  # the composed configuration, YAML
    overrides: list[str]  # what the user typed


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")


@dataclass
class Saver:
    """Saves on the first process; `due` and `save` are cheap calls on the others.

    As a context manager it waits for the last checkpoint on the way out.
    """

    folder: CheckpointFolder
    state: TrainState
    meter: EpochMeter
    log: RunLog
    identity: RunIdentity
    every_steps: int  # 0: off
    every_minutes: float  # 0: off
    _saved_at: float = field(default_factory=time.monotonic)
    _memory: SnapshotMemory = field(default_factory=SnapshotMemory)
    _thread: ThreadPoolExecutor = field(default_factory=_one_thread)  # started by the first save
    _hurry: Event = field(default_factory=Event)  # set while the training waits for the write
    _writing: Future[None] | None = None  # the last write, where it may not have succeeded yet

    def due(self) -> bool:
        """Say whether a save in mid-epoch is due after this step."""
        by_steps = self.every_steps > 0 and self.state.progress.step % self.every_steps == 0
        by_time = self.every_minutes > 0 and time.monotonic() - self._saved_at > 60 * self.every_minutes
        return by_steps or by_time

    def save(self, *, best: bool = False, epoch: int | None = None) -> None:
        """Begin to write `last.pt`, and to name it `best.pt` and by its epoch where asked for.

        The moment is this one; a thread writes a copy of it. Only `wait` says that it is on the disk. A checkpoint that
        is still being written is waited for.

        Raises:
            CheckpointError: the checkpoint before could not be written. One of several processes leaves that to `wait`.
        """
        if self.state.fabric.is_global_zero and self._former_is_written():
            checkpoint = Checkpoint(**self._memory.copy(vars(self.capture())))
            self._hurry.clear()
            self._writing = self._thread.submit(self.folder.save, checkpoint, best=best, epoch=epoch, hurry=self._hurry)
        self._saved_at = time.monotonic()

    def wait(self) -> None:
        """Return when the last checkpoint is on the disk. All processes must call this.

        Raises:
            CheckpointError: it could not be written.
        """
        on_first(self.state.fabric, self._join)

    def capture(self) -> Checkpoint:
        """Return the present moment as a checkpoint, the state's tensors by reference.

        The record up to it is on the disk: no checkpoint counts on what a power cut may take.
        """
        return Checkpoint.capture(
            self.state,
            meter=self.meter.state_dict(),
            record_offset=self.log.offset(),
            categories=self.identity.categories,
            detections_per_image=self.identity.detections_per_image,
            config=self.identity.config,
            overrides=self.identity.overrides,
        )

    def go_back(self, checkpoint: Checkpoint) -> None:
        """Make `checkpoint`'s moment, which the state is in, the run's last: file first, then record. All must call it.

        A kill in between leaves a file that counts on no more than the record still has.

        Raises:
            CheckpointError: it could not be written.
        """

        def write() -> None:
            try:
                self.folder.save(replace(self.capture(), record_offset=checkpoint.record_offset))
                self.folder.drop_after(self.state.progress.step)
            except OSError as error:
                raise _not_written(self.folder.last, error) from error
            self.log.cut(checkpoint.record_offset)

        on_first(self.state.fabric, write)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What ended the training is the one error to tell, if there was one.
        with contextlib.suppress(*([] if error is None else [CheckpointError])), self._thread:
            self._join()

    def _former_is_written(self) -> bool:
        try:
            self._join()
        except CheckpointError:
            if self.state.fabric.world_size == 1:
                raise
            return False  # raised here it would leave the other processes waiting for this one
        return True

    def _join(self) -> None:
        if self._writing is None:
            return
        self._hurry.set()
        try:
            self._writing.result()
        except OSError as error:
            raise _not_written(self.folder.last, error) from error
        self._writing = None


def _not_written(path: Path, error: OSError) -> WriteError:
    before = "The one before it is whole: the run goes on from there" if path.is_file() else "There is none before it"
    return WriteError(
        f"{path}: the checkpoint could not be written: {error.strerror or error}. {before}. "
        "Make room on the disk, or mend what keeps the folder from being written, and start the run again."
    )
