"""Small event files beside a run's record: TensorBoard shows them, the project's reader and a resume do not see them.

TensorBoard reads every name with `tfevents` in it; one that does not begin as an event file of a run does is no record.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from maskrcnn_exp.record.atomic import write_atomic

__all__ = ["write_side_file"]


def write_side_file(path: Path, values: Sequence[Any], step: int = 0) -> None:
    """Replace `path` by an event file with one event. Its folder must exist.

    Args:
        values: `Summary.Value` messages.
    """
    buffer = io.BytesIO()
    records = RecordWriter(buffer)
    for fields in ({"file_version": "brain.Event:2"}, {"summary": summary_pb2.Summary(value=values), "step": step}):
        records.write(event_pb2.Event(wall_time=time.time(), **fields).SerializeToString())

    def write(file: BinaryIO) -> None:
        file.write(buffer.getvalue())

    write_atomic(path, write)
