"""One TensorBoard event file, written in order and without a thread.

The bytes up to `offset()` are a run's record at that moment. A checkpoint stores the number, and `resume` goes on
from exactly there: what was written after the checkpoint and then trained again does not show twice.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from maskrcnn_exp.errors import CheckpointError
from maskrcnn_exp.record.atomic import sync_folder, write_atomic
from maskrcnn_exp.record.frames import split_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EventFile"]

_PREFIX: Final = "events.out.tfevents."
_SUFFIX: Final = ".maskrcnn-exp"  # where TensorBoard's own writer puts the host name
_LAYOUT_TAG: Final = "custom_scalars__config__"  # TensorBoard's own
_PNG: Final = b"\x89PNG\r\n\x1a\n"


class EventFile:
    """Appends records to one event file; nothing reaches the disk before `flush`, and then only whole records."""

    def __init__(self, path: Path) -> None:
        """Append to `path`, which exists and ends with a whole record. Use `create` or `resume`."""
        self.path = path
        self._file: io.FileIO = path.open("ab", buffering=0)
        self._written = path.stat().st_size
        self._pending = io.BytesIO()
        self._records = RecordWriter(self._pending)

    @classmethod
    def create(cls, folder: Path) -> EventFile:
        """Begin a new event file in `folder`, which is made where it is absent."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _file_name(time.time_ns())
        path.touch(exist_ok=False)
        events = cls(path)
        events._append(file_version="brain.Event:2")
        events.flush()
        return events

    @classmethod
    def resume(cls, source: Path, offset: int, into: Path) -> EventFile:
        """Go on after the first `offset` bytes of an earlier event file, in a new file in `into`.

        The new file is complete on disk before the earlier one is deleted, and that happens only where it lies in
        `into`: a kill at any moment leaves a record that can be resumed again.

        Args:
            source: The earlier event file, or a run's folder: then its newest one by this class.
            offset: What `offset()` returned when the checkpoint was saved. Bytes.
            into: Folder of the new file, made where it is absent.

        Raises:
            CheckpointError: no event file; or its first `offset` bytes are not whole records.
        """
        earlier = _newest_in(source) if source.is_dir() else source
        head = _whole_records(earlier, offset)

        def copy(file: BinaryIO) -> None:
            file.write(head)

        into.mkdir(parents=True, exist_ok=True)
        # A clock that was set back must not sort the new file before the old one.
        path = into / _file_name(max(time.time_ns(), _created_ns(earlier) + 1))
        write_atomic(path, copy)
        if earlier.parent.resolve() == into.resolve():
            for old in {earlier, *_own_files(into)} - {path}:
                old.unlink()
            sync_folder(into)
        return cls(path)

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Record one number, as float32."""
        self.scalars({tag: value}, step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Record several numbers of one step in one record, which is much faster to read than one for each."""
        summary = summary_pb2.Summary(
            value=[summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        self._append(summary=summary, step=step)

    def text(self, tag: str, markdown: str, step: int) -> None:
        """Record a text for TensorBoard's text page."""
        self._plugin("text", tag, markdown.encode(), step)

    def layout(self, layout: bytes) -> None:
        """Record what the CUSTOM SCALARS page shows: a serialised `Layout` message of that plugin."""
        self._plugin("custom_scalars", _LAYOUT_TAG, layout, 0)

    def image(self, tag: str, picture: bytes | NDArray[np.uint8], step: int) -> None:
        """Record a picture: a PNG file's bytes, or uint8 [h, w, 3], RGB."""
        png = picture if isinstance(picture, bytes) else _encode_png(picture)
        if not png.startswith(_PNG):
            raise ValueError(f"{tag}: expected the bytes of a PNG file, got {png[:8]!r}…")
        image = summary_pb2.Summary.Image(
            width=int.from_bytes(png[16:20], "big"),  # the PNG header's own numbers
            height=int.from_bytes(png[20:24], "big"),
            colorspace=3,
            encoded_image_string=png,
        )
        value = summary_pb2.Summary.Value(tag=tag, image=image)
        self._append(summary=summary_pb2.Summary(value=[value]), step=step)

    def flush(self, sync: bool = False) -> None:
        """Hand what was recorded to the operating system; with `sync` wait until it is on the disk.

        Where the disk is full the OSError propagates, the file still ends with a whole record, and the next
        flush tries again with the same records.
        """
        data = self._pending.getvalue()
        try:
            _write_all(self._file, data)
        except OSError:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                self._file.truncate(self._written)
            raise
        self._written += len(data)
        self._pending.seek(0)
        self._pending.truncate()
        if sync:
            os.fsync(self._file.fileno())

    def offset(self) -> int:
        """Return the bytes of all records so far, after making sure that they are on the disk.

        On the disk, because a checkpoint that outlives its record in a power cut could not be resumed.
        """
        self.flush(sync=True)
        if not self.path.exists():  # whoever took the folder away took the record along: these bytes are lost
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        return self._written

    def cut(self, offset: int) -> None:
        """Take back everything after the first `offset` bytes, an earlier `offset()`, and go on from there.

        A new file takes the place of this one, as after a restart: TensorBoard would read on behind the cut.
        """
        self.close()
        other = EventFile.resume(self.path, offset, self.path.parent)
        self.path, self._file, self._written = other.path, other._file, other._written

    def close(self) -> None:
        """Flush and close. May be called twice."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def _plugin(self, name: str, tag: str, content: bytes, step: int) -> None:
        plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name=name)
        value = summary_pb2.Summary.Value(
            tag=tag,
            metadata=summary_pb2.SummaryMetadata(plugin_data=plugin, data_class=summary_pb2.DATA_CLASS_TENSOR),
            tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[content]),
        )
        self._append(summary=summary_pb2.Summary(value=[value]), step=step)

    def _append(self, **fields: Any) -> None:
        event = event_pb2.Event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())


def _file_name(created_ns: int) -> str:
    """Name that TensorBoard recognises, and that sorts by time."""
    seconds, nanoseconds = divmod(created_ns, 10**9)
    return f"{_PREFIX}{seconds:010d}.{nanoseconds:09d}{_SUFFIX}"


def _created_ns(path: Path) -> int:
    """Read the time back from a name of ours; 0 from any other."""
    seconds, _, nanoseconds = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX).partition(".")
    return int(seconds) * 10**9 + int(nanoseconds) if seconds.isdigit() and nanoseconds.isdigit() else 0


def _own_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}"))


def _newest_in(folder: Path) -> Path:
    files = _own_files(folder)
    if not files:
        raise CheckpointError(
            f"{folder}: no event file ({_PREFIX}*{_SUFFIX}) to go on from. Resume from a run folder that still "
            f"has its record, or start a new run."
        )
    return files[-1]


def _whole_records(path: Path, offset: int) -> bytes:
    """Return the first `offset` bytes of an event file, which must be whole, undamaged records."""
    try:
        with path.open("rb") as file:
            head = file.read(offset)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: the event file to go on from does not exist.") from None
    if len(head) < offset:
        raise CheckpointError(
            f"{path}: the event file ends after {len(head)} bytes, the checkpoint was saved at byte {offset}. "
            f"The record was cut or belongs to another run; resume with the event file of the checkpoint's run."
        )
    end = split_frames(head).end
    if end != offset or offset <= 0:
        raise CheckpointError(
            f"{path}: the checkpoint was saved at byte {offset}, but the event file's whole records end at byte "
            f"{end}: it is damaged or belongs to another run. Resume with the event file of the checkpoint's run."
        )
    return head


def _write_all(file: io.FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _encode_png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()
