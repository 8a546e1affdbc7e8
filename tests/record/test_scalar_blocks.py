"""Events read in blocks give what protobuf gives for each of them, whatever stands between them."""

from __future__ import annotations

import io
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from maskrcnn_exp.record import history as history_module
from maskrcnn_exp.record import scalar_blocks
from maskrcnn_exp.record.event_file import EventFile
from maskrcnn_exp.record.frames import Frames, split_frames
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.scalar_blocks import ScalarBlock, read_blocks

tags = st.sampled_from(["a", "b", "loss/val", "lr/größe", ""])
floats = st.floats(width=32) | st.just(0.0)
steps = st.integers(0, 3) | st.sampled_from([127, 128, 300, 2**31, 2**63 - 1, -1, -(2**63)])
scalars = st.builds(lambda tag, value: summary_pb2.Summary.Value(tag=tag, simple_value=value), tags, floats)
others = st.one_of(
    st.builds(lambda tag: summary_pb2.Summary.Value(tag=tag), tags),
    st.builds(lambda tag, v: summary_pb2.Summary.Value(tag=tag, node_name="n", simple_value=v), tags, floats),
    st.builds(
        lambda tag, v: summary_pb2.Summary.Value(tag=tag, tensor=tensor_util.make_tensor_proto(v)),
        tags,
        st.floats(-9, 9) | st.text(max_size=3) | st.just([1.0, 2.0]),
    ),
)
events = st.builds(
    lambda step, time, values: event_pb2.Event(
        step=step, wall_time=time, summary=summary_pb2.Summary(value=values) if values is not None else None
    ),
    steps,
    st.floats(0, 1e9),
    st.none() | st.lists(scalars, max_size=4) | st.lists(scalars, max_size=4) | st.lists(scalars | others, max_size=3),
).map(lambda event: event.SerializeToString())
broken = st.sampled_from([b"\xff\xff", b"", b"\x09\x00", b"\x2a\x05\x0a\x03\x0a\x09a"])
merged = st.tuples(events, events).map(b"".join)  # protobuf reads two messages behind one another as one
payloads = st.one_of(events, events, events, merged, broken)


def file_of(content: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for payload in content:
        writer.write(payload)
    return buffer.getvalue()


def as_lists(history: History) -> dict[str, Any]:
    """Comparable, with NaN as text."""
    series = {tag: history.series(tag) for tag in history.tags}
    numbers = {tag: str((s.steps.tolist(), s.values.tolist(), s.wall_times.tolist())) for tag, s in series.items()}
    return {"series": numbers, "texts": history.texts, "truncated": history.truncated}


def one_by_one(frames: Frames, wanted: Collection[str] | None) -> tuple[list[ScalarBlock], list[int]]:
    return [], list(range(len(frames.starts)))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(payloads, max_size=8), min_size=1, max_size=2),
    wanted=st.none() | st.sets(tags, max_size=2),
    cut=st.integers(0, 40),
)
def test_a_record_read_in_blocks_is_the_record_read_event_by_event(
    files: list[list[bytes]], wanted: set[str] | None, cut: int, tmp_path: Path
) -> None:
    for number, content in enumerate(files):
        data = file_of(content)
        (tmp_path / f"events.out.tfevents.{number}").write_bytes(data[: len(data) - cut])
    for number in range(len(files), 2):
        (tmp_path / f"events.out.tfevents.{number}").unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "read_blocks", one_by_one)
        expected = as_lists(History.read(tmp_path, wanted))
    assert as_lists(History.read(tmp_path, wanted)) == expected


def test_tensorboard_reads_the_same_numbers(tmp_path: Path) -> None:
    """Over steps of one, two and three digits, with points left out, and a text and a picture between."""
    rng = np.random.default_rng(0)
    with closing(EventFile.create(tmp_path)) as writer:
        writer.text("config", "a: 1", 0)
        for step in range(1, 400):
            values = {f"tag/{n}": float(rng.normal()) for n in range(20) if n != step % 7}
            writer.scalars(values, step)
        writer.image("worst", np.zeros((4, 4, 3), dtype=np.uint8), 3)
    board = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    history = History.read(tmp_path)
    assert history.tags == tuple(sorted(board.Tags()["scalars"]))
    for tag in history.tags:
        series = history.series(tag)
        theirs = [(point.step, point.value, point.wall_time) for point in board.Scalars(tag)]
        assert (
            list(zip(series.steps.tolist(), series.values.tolist(), series.wall_times.tolist(), strict=True)) == theirs
        )


def test_events_with_the_same_tags_become_one_block(tmp_path: Path) -> None:
    """Whatever digits their steps have: a thousand runs are read in seconds only while there are few blocks."""
    with closing(EventFile.create(tmp_path)) as writer:
        for step in (*range(1, 4), 127, 128, 20_000):
            writer.scalars({"a": step / 8, "b": 0.5}, step)
        writer.scalars({"b": 1.0}, 3)
    (last, block), others = read_blocks(split_frames(writer.path.read_bytes()), {"a", "b", "c"})
    assert (block.tags, block.steps.tolist()) == (("a", "b"), [1, 2, 3, 127, 128, 20_000])
    assert block.values.tolist() == [[0.125, 0.25, 0.375, 15.875, 16.0, 2500.0], [0.5] * 6]
    assert (last.tags, last.events.tolist(), others) == (("b",), [7], [0])  # event 0 holds the file's version


def test_only_wanted_tags_are_taken_out_of_an_event(tmp_path: Path) -> None:
    with closing(EventFile.create(tmp_path)) as writer:
        writer.scalars({"a": 1.0, "b": 2.0, "c": 3.0}, 1)
        writer.scalars({"d": 4.0}, 2)
    (block,), others = read_blocks(split_frames(writer.path.read_bytes()), {"a", "c"})
    assert (block.tags, block.values.tolist(), others) == (("a", "c"), [[1.0], [3.0]], [0])


def test_what_is_remembered_of_layouts_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scalar_blocks, "_LAYOUTS_KEPT", 10)
    with closing(EventFile.create(tmp_path)) as writer:
        for step in range(60):
            writer.scalars({f"tag {step}": 1.0}, step)
    assert len(History.read(tmp_path).tags) == 60
    assert sum(map(len, scalar_blocks._known.values())) <= 10
