"""Event files: TensorBoard reads them, a resumed one has no point twice, a kill loses nothing that was flushed."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from maskrcnn_exp.errors import CheckpointError
from maskrcnn_exp.record import event_file
from maskrcnn_exp.record.event_file import EventFile
from maskrcnn_exp.record.frames import split_frames
from maskrcnn_exp.record.history import History


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    series = History.read(folder).series(tag)
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def write_run(folder: Path, steps: range, lost: range = range(0)) -> tuple[Path, int]:
    """Write a closed event file with value step / 8; return it and the offset of a checkpoint before `lost`."""
    events = EventFile.create(folder)
    for step in steps:
        events.scalar("loss/val", step / 8, step)
    offset = events.offset()
    for step in lost:
        events.scalar("loss/val", 99.0, step)
    events.close()
    return events.path, offset


def go_on(events: EventFile, steps: range) -> None:
    for step in steps:
        events.scalar("loss/val", step / 8, step)
    events.close()


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_tensorboard_reads_scalars_texts_and_pictures(tmp_path: Path) -> None:
    events = EventFile.create(tmp_path)
    events.scalars({"loss/val": 0.75, "mAP/segm_AP": float("nan")}, step=1)
    events.scalar("loss/val", 0.5, step=2)
    events.text("verdicts", "**low** mask AP", step=2)
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    events.image("worst", picture, step=2)
    events.close()

    board = EventAccumulator(str(tmp_path)).Reload()
    assert [(point.step, point.value) for point in board.Scalars("loss/val")] == [(1, 0.75), (2, 0.5)]
    assert np.isnan(board.Scalars("mAP/segm_AP")[0].value)
    (text,) = board.Tensors("verdicts")
    assert tensor_util.make_ndarray(text.tensor_proto).item() == b"**low** mask AP"
    assert board.SummaryMetadata("verdicts").plugin_data.plugin_name == "text"
    (image,) = board.Images("worst")
    assert (image.width, image.height) == (6, 4)
    decoded = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    assert (decoded == picture).all()


def test_png_bytes_are_recorded_as_they_are(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (7, 3)).save(buffer, format="PNG")
    events = EventFile.create(tmp_path)
    events.image("worst", buffer.getvalue(), step=1)
    events.close()
    (image,) = EventAccumulator(str(tmp_path)).Reload().Images("worst")
    assert (image.width, image.height, image.encoded_image_string) == (7, 3, buffer.getvalue())


def test_bytes_that_are_no_png_are_refused(tmp_path: Path) -> None:
    with (
        closing(EventFile.create(tmp_path)) as events,
        pytest.raises(ValueError, match="worst: expected the bytes of a PNG file"),
    ):
        events.image("worst", b"\xff\xd8\xff\xe0", step=1)


def test_nothing_but_whole_records_reaches_the_disk(tmp_path: Path) -> None:
    with closing(EventFile.create(tmp_path)) as events:
        before = events.path.stat().st_size
        events.scalar("loss/val", 1.0, step=1)
        assert events.path.stat().st_size == before
        assert events.offset() == events.path.stat().st_size > before


def test_file_name_tells_nothing_of_the_machine(tmp_path: Path) -> None:
    path, _ = write_run(tmp_path, range(1))
    assert os.uname().nodename not in path.name


def test_resume_gives_the_series_of_a_run_that_never_stopped(tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    write_run(straight, range(1, 7))
    _, offset = write_run(stopped, range(1, 4), lost=range(4, 6))
    resumed = EventFile.resume(stopped, offset, stopped)
    go_on(resumed, range(4, 7))

    assert points(stopped, "loss/val") == points(straight, "loss/val")
    assert only_file(stopped) == resumed.path  # the old file is gone
    board = EventAccumulator(str(stopped)).Reload()
    assert [point.value for point in board.Scalars("loss/val")] == [step / 8 for step in range(1, 7)]


def test_resume_into_another_folder_leaves_the_earlier_run_alone(tmp_path: Path) -> None:
    path, offset = write_run(tmp_path / "first", range(1, 4))
    before = path.read_bytes()
    go_on(EventFile.resume(tmp_path / "first", offset, tmp_path / "second"), range(4, 5))
    assert path.read_bytes() == before
    assert points(tmp_path / "second", "loss/val")[:3] == points(tmp_path / "first", "loss/val")


def test_resume_can_start_from_a_file(tmp_path: Path) -> None:
    path, offset = write_run(tmp_path / "first", range(1, 4))
    with closing(EventFile.resume(path, offset, tmp_path / "second")) as resumed:
        assert resumed.offset() == offset


def test_resume_cuts_off_half_a_record(tmp_path: Path) -> None:
    path, offset = write_run(tmp_path, range(1, 4), lost=range(4, 5))
    path.write_bytes(path.read_bytes()[:-7])
    go_on(EventFile.resume(tmp_path, offset, tmp_path), range(4, 5))
    assert points(tmp_path, "loss/val") == [(1, 0.125), (2, 0.25), (3, 0.375), (4, 0.5)]
    assert not History.read(tmp_path).truncated


def test_resume_from_a_shorter_file_says_so(tmp_path: Path) -> None:
    path, size = write_run(tmp_path, range(1, 4))
    with pytest.raises(CheckpointError, match=f"ends after {size} bytes, the checkpoint was saved at byte {size + 1}"):
        EventFile.resume(tmp_path, size + 1, tmp_path)
    assert only_file(tmp_path) == path


def test_resume_inside_of_a_record_says_so(tmp_path: Path) -> None:
    path, offset = write_run(tmp_path, range(1, 4))
    for wrong in (offset - 1, 0):
        with pytest.raises(CheckpointError, match="damaged or belongs to another run"):
            EventFile.resume(tmp_path, wrong, tmp_path)
    assert only_file(tmp_path) == path


def test_resume_from_a_damaged_file_says_so(tmp_path: Path) -> None:
    path, offset = write_run(tmp_path, range(1, 4))
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged or belongs to another run"):
        EventFile.resume(tmp_path, offset, tmp_path)
    assert only_file(tmp_path) == path


def test_resume_from_a_folder_without_record_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no event file"):
        EventFile.resume(tmp_path, 100, tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        EventFile.resume(tmp_path / "absent", 100, tmp_path)


def test_kill_between_copy_and_deletion_can_be_resumed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, offset = write_run(tmp_path, range(1, 4), lost=range(4, 5))

    def die(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            EventFile.resume(tmp_path, offset, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2  # the old one and the whole copy
    resumed = EventFile.resume(tmp_path, offset, tmp_path)
    go_on(resumed, range(4, 5))
    assert only_file(tmp_path) == resumed.path
    assert points(tmp_path, "loss/val") == [(1, 0.125), (2, 0.25), (3, 0.375), (4, 0.5)]


def test_a_clock_set_back_does_not_sort_the_new_file_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, offset = write_run(tmp_path / "first", range(1, 4))
    monkeypatch.setattr("maskrcnn_exp.record.event_file.time.time_ns", lambda: 10**18)  # 2001
    with closing(EventFile.resume(path, offset, tmp_path / "second")) as resumed:
        assert resumed.path.name > path.name


def test_full_disk_leaves_whole_records_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_then_full(file: io.FileIO, data: bytes) -> None:
        file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with closing(EventFile.create(tmp_path)) as events:
        events.scalar("loss/val", 0.125, 1)
        events.flush()
        events.scalar("loss/val", 0.25, 2)
        with monkeypatch.context() as patch:
            patch.setattr(event_file, "_write_all", half_then_full)
            with pytest.raises(OSError, match="No space left"):
                events.flush()
        assert points(tmp_path, "loss/val") == [(1, 0.125)]
        assert events.path.stat().st_size == split_frames(events.path.read_bytes()).end
        events.scalar("loss/val", 0.375, 3)
    assert points(tmp_path, "loss/val") == [(1, 0.125), (2, 0.25), (3, 0.375)]  # closing found room again


def test_kill_loses_only_what_was_not_flushed(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from maskrcnn_exp.record.event_file import EventFile

        events = EventFile.create(Path(sys.argv[1]))
        for step in range(1, 101):
            events.scalar("loss/val", step / 8, step)
            if step <= 60:
                events.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    assert points(tmp_path, "loss/val") == [(step, step / 8) for step in range(1, 61)]


def test_closing_twice_is_allowed(tmp_path: Path) -> None:
    events = EventFile.create(tmp_path)
    events.close()
    events.close()
