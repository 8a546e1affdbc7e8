"""One reader for every writer of event files."""

from __future__ import annotations

import math
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.event_file import EventFile
from maskrcnn_exp.record.history import History


def write(folder: Path, points: list[tuple[str, float, int]]) -> Path:
    with closing(EventFile.create(folder)) as events:
        for tag, value, step in points:
            events.scalar(tag, value, step)
    return events.path


def write_values(path: Path, values: list[summary_pb2.Summary.Value]) -> None:
    """An event file as TensorFlow 2 writes it: tensors with metadata."""
    with path.open("wb") as file:
        records = RecordWriter(file)
        for step, value in enumerate(values, start=1):
            event = event_pb2.Event(step=step, wall_time=100.0 + step, summary=summary_pb2.Summary(value=[value]))
            records.write(event.SerializeToString())


def test_points_come_back_in_order_of_steps(tmp_path: Path) -> None:
    write(tmp_path, [("b", 0.5, 2), ("b", 0.25, 1), ("a", 4.0, 7)])
    history = History.read(tmp_path)
    assert history.tags == ("a", "b")
    series = history.series("b")
    assert series.steps.tolist() == [1, 2]
    assert series.values.tolist() == [0.25, 0.5]
    assert (str(series.steps.dtype), str(series.values.dtype), len(series)) == ("int64", "float64", 2)
    assert np.abs(series.wall_times - series.wall_times[0]).max() < 60


def test_later_point_of_a_step_wins_over_files(tmp_path: Path) -> None:
    write(tmp_path, [("loss", 1.0, 1), ("loss", 2.0, 2), ("loss", 2.5, 2)])
    assert History.read(tmp_path).series("loss").values.tolist() == [1.0, 2.5]
    write(tmp_path, [("loss", 3.0, 2)])
    history = History.read(tmp_path)
    assert history.series("loss").values.tolist() == [1.0, 3.0]
    assert len(history.files) == 2


def test_last_and_best_pick_by_step_and_value(tmp_path: Path) -> None:
    write(tmp_path, [("ap", 0.5, 1), ("ap", 0.75, 2), ("ap", 0.75, 3), ("ap", math.nan, 4), ("ap", 0.25, 5)])
    history = History.read(tmp_path)
    assert history.last("ap") == (5, 0.25)
    assert history.best("ap", "max") == (2, 0.75)  # the earlier of two equal ones, and NaN is none
    assert history.best("ap", "min") == (5, 0.25)


def test_a_tag_without_points_is_an_empty_series(tmp_path: Path) -> None:
    write(tmp_path, [("lost", math.nan, 1)])
    history = History.read(tmp_path)
    assert len(history.series("mAP/segm_AP")) == 0
    assert history.last("mAP/segm_AP") is None
    assert history.best("mAP/segm_AP", "max") is None
    assert history.best("lost", "max") is None
    assert history.tags == ("lost",)  # asking makes no tag


def test_only_wanted_tags_are_kept(tmp_path: Path) -> None:
    write(tmp_path, [("a", 1.0, 1), ("b", 2.0, 1), ("c", 3.0, 1)])
    assert History.read(tmp_path, tags=["a", "c", "absent"]).tags == ("a", "c")


@pytest.mark.parametrize("new_style", [False, True])
def test_torchs_summary_writer_is_read(tmp_path: Path, new_style: bool) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        for step in (1, 2, 3):
            writer.add_scalar("loss/val", step / 4, step, new_style=new_style)
        writer.add_scalar("double", 0.1, 1, new_style=True, double_precision=True)
        writer.add_text("verdicts", "masks lag behind", 2)
        writer.add_histogram("weights", np.arange(5.0), 1)
        writer.add_image("worst", np.zeros((3, 2, 2), dtype=np.uint8), 1)
    history = History.read(tmp_path)
    assert history.series("loss/val").steps.tolist() == [1, 2, 3]
    assert history.series("loss/val").values.tolist() == [0.25, 0.5, 0.75]
    assert history.last("double") == (1, 0.1)
    assert history.tags == ("double", "loss/val")
    assert history.texts == {"verdicts": {2: "masks lag behind"}}


def test_tensorflow_2_is_read(tmp_path: Path) -> None:
    scalar = scalar_metadata.create_summary_metadata("", "")
    values = [
        summary_pb2.Summary.Value(
            tag=f"scalar/{dtype}", metadata=scalar, tensor=tensor_util.make_tensor_proto(np.array(3, dtype=dtype))
        )
        for dtype in ("float32", "float64", "int32", "int64")
    ]
    values.append(
        summary_pb2.Summary.Value(
            tag="weights",
            metadata=histogram_metadata.create_summary_metadata("", ""),
            tensor=tensor_util.make_tensor_proto(np.zeros((30, 3))),
        )
    )
    values.append(
        summary_pb2.Summary.Value(
            tag="note",
            metadata=text_metadata.create_summary_metadata("", ""),
            tensor=tensor_util.make_tensor_proto(np.array([b"two", b"lines"])),
        )
    )
    repeated = tensor_util.make_tensor_proto(np.zeros((30, 3), dtype=np.float32))
    repeated.ClearField("tensor_content")
    repeated.float_val.append(0.0)  # TensorFlow's short form: one number stands for all
    values.append(summary_pb2.Summary.Value(tag="flat weights", tensor=repeated))
    write_values(tmp_path / "events.out.tfevents.1700000000.host.1.v2", values)
    history = History.read(tmp_path)
    assert {tag: history.last(tag) for tag in history.tags} == {
        "scalar/float32": (1, 3.0),
        "scalar/float64": (2, 3.0),
        "scalar/int32": (3, 3.0),
        "scalar/int64": (4, 3.0),
    }
    assert history.series("scalar/int64").wall_times.tolist() == [104.0]
    assert history.texts == {"note": {6: "two\nlines"}}


def test_packed_tensor_is_read(tmp_path: Path) -> None:
    tensor = tensor_util.make_tensor_proto(np.float32(0.5))
    tensor.ClearField("float_val")
    tensor.tensor_content = np.array([0.5], dtype="<f4").tobytes()
    write_values(tmp_path / "events.out.tfevents.1", [summary_pb2.Summary.Value(tag="loss", tensor=tensor)])
    assert History.read(tmp_path).last("loss") == (1, 0.5)


def test_half_a_record_at_the_end_is_ignored(tmp_path: Path) -> None:
    path = write(tmp_path, [("loss", 1.0, 1), ("loss", 2.0, 2)])
    path.write_bytes(path.read_bytes()[:-3])
    history = History.read(tmp_path)
    assert history.series("loss").steps.tolist() == [1]
    assert not history.truncated


def test_damage_in_the_middle_ends_the_reading_and_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, [("loss", 1.0, 1), ("loss", 2.0, 2), ("loss", 3.0, 3)])
    data = bytearray(path.read_bytes())
    record = len(data) // 5  # file version, then three records of about the same size
    data[-record - 20] ^= 0xFF
    path.write_bytes(data)
    write(tmp_path, [("loss", 9.0, 9)])
    history = History.read(tmp_path)
    assert history.truncated
    assert history.series("loss").steps.tolist() == [1, 9]  # the next file is whole


def test_a_record_that_is_no_event_is_damage(tmp_path: Path) -> None:
    with (tmp_path / "events.out.tfevents.1").open("wb") as file:
        RecordWriter(file).write(b"\xff\xff\xff no protocol buffer")
    assert History.read(tmp_path).truncated


def test_absent_folder_and_folder_without_record_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: no such folder\. Expected a run folder with events\.out\."):
        History.read(tmp_path / "absent")
    write(tmp_path / "trial", [("loss", 1.0, 1)])
    with pytest.raises(DataError, match="no event file in this folder"):
        History.read(tmp_path)  # the trial's own folder is not searched


def test_reader_imports_neither_torch_nor_tensorboards_loaders() -> None:
    program = (
        "import sys, maskrcnn_exp.record.history; "
        "print([m for m in ('torch', 'tensorboard.backend', 'rich', 'hydra', 'PIL') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "[]", done.stderr
