"""The one writer of a run's record. It keeps the record to the tags that `record.tags` promises."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from maskrcnn_exp.record.board_layout import board_layout
from maskrcnn_exp.record.event_file import EventFile
from maskrcnn_exp.record.tags import EPOCH_TAGS, EXTRA_TAGS, STEP_TAGS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maskrcnn_exp.record.sinks import Sink

__all__ = ["RunLog"]

_EPOCH: Final = frozenset((*EPOCH_TAGS, *EXTRA_TAGS))
_STEP: Final = frozenset(STEP_TAGS)


class RunLog:
    """Records epochs, steps and texts, each on its way to the disk when the call returns.

    A value of None, or -1 under `mAP/` (COCO's mark for "nothing to find"), leaves its point out. NaN and
    infinity are recorded: a run that diverges must show it.
    """

    def __init__(self, events: EventFile | None) -> None:
        """Use `open`, `resume` or `disabled`."""
        self._events = events
        self._sinks: Sequence[Sink] = ()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Begin the record of a new run in `folder`, with the plots of TensorBoard's CUSTOM SCALARS page."""
        events = EventFile.create(folder)
        events.layout(board_layout().SerializeToString())
        return cls(events)

    @classmethod
    def resume(cls, folder: Path, source_folder: Path, offset: int) -> Self:
        """Go on in `folder` after the first `offset` bytes of the record in `source_folder`.

        Raises:
            CheckpointError: `source_folder` has no record, or a shorter or damaged one.
        """
        return cls(EventFile.resume(source_folder, offset, folder))

    @classmethod
    def disabled(cls) -> Self:
        """A log that checks tags and writes nothing, for the processes beside the first one."""
        return cls(None)

    def epoch(self, epoch: int, values: Mapping[str, float | None]) -> dict[str, float]:
        """Record the numbers of one epoch, counted from 1, under tags of EPOCH_TAGS and EXTRA_TAGS.

        Returns:
            What was recorded, that is without the points that were left out.

        Raises:
            ValueError: a tag is not among them.
        """
        return self._record(epoch, values, _EPOCH)

    def step(self, step: int, values: Mapping[str, float | None]) -> None:
        """Record the numbers of one optimiser step, counted from 1, under tags of STEP_TAGS.

        Raises:
            ValueError: a tag is not among them.
        """
        self._record(step, values, _STEP)

    def text(self, tag: str, markdown: str, step: int) -> None:
        """Record a text; its tag is free."""
        if self._events:
            self._events.text(tag, markdown, step)
            self._events.flush()
        for sink in self._sinks:
            sink.text(tag, markdown, step)

    def image(self, tag: str, picture: bytes | NDArray[np.uint8], step: int) -> None:
        """Record a picture, PNG bytes or uint8 [h, w, 3] RGB; its tag is free."""
        if self._events:
            self._events.image(tag, picture, step)
            self._events.flush()
        self.show(tag, picture, step)

    def share(self, sinks: Sequence[Sink]) -> None:
        """Hand to `sinks`, too, whatever is recorded from here on."""
        self._sinks = tuple(sinks)

    def show(self, tag: str, picture: bytes | NDArray[np.uint8], step: int) -> None:
        """Hand the sinks a picture that the record itself does not hold."""
        for sink in self._sinks:
            sink.image(tag, picture, step)

    def offset(self) -> int:
        """Return the record's length on disk for a checkpoint, bytes; 0 where the log is disabled."""
        return self._events.offset() if self._events else 0

    def cut(self, offset: int) -> None:
        """Take back what was recorded after `offset()` returned this number."""
        if self._events:
            self._events.cut(offset)
        for sink in self._sinks:
            sink.rewind()

    def close(self, *, failed: bool = False) -> None:
        """End the record and its copies. May be called twice."""
        if self._events:
            self._events.close()
        sinks, self._sinks = self._sinks, ()
        for sink in sinks:
            sink.close(failed=failed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=error is not None)

    def _record(self, step: int, values: Mapping[str, float | None], allowed: frozenset[str]) -> dict[str, float]:
        unknown = [tag for tag in values if tag not in allowed]
        if unknown:
            raise ValueError(_unknown_tags(unknown, allowed))
        known = {tag: value for tag, value in values.items() if value is not None}
        defined = {tag: value for tag, value in known.items() if value != -1 or not tag.startswith("mAP/")}
        if self._events and defined:
            self._events.scalars(defined, step)
            self._events.flush()
            for sink in self._sinks:
                sink.scalars(defined, step)
        return defined


def _unknown_tags(unknown: list[str], allowed: frozenset[str]) -> str:
    hints = [difflib.get_close_matches(tag, allowed, n=1) for tag in unknown]
    named = [f"{tag} (did you mean {hint[0]}?)" if hint else tag for tag, hint in zip(unknown, hints, strict=True)]
    return f"tags that a run's record does not have: {', '.join(named)}. record/tags.py lists all."
