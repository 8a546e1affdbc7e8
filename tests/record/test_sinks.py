"""Copies of the record: what a sink hears, that none can end a training, and the CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from maskrcnn_exp.record.csv_sink import CSV_FILE, CsvSink
from maskrcnn_exp.record.run_log import RunLog
from maskrcnn_exp.record.sinks import GuardedSink, Sink


def rows(folder: Path) -> list[tuple[int, str, float]]:
    with (folder / CSV_FILE).open(newline="") as file:
        return [(int(row["step"]), row["tag"], float(row["value"])) for row in csv.DictReader(file)]


def no_warning(text: str) -> None:
    raise AssertionError(text)


def with_csv(log: RunLog, folder: Path) -> None:
    log.share([GuardedSink("csv", lambda: CsvSink(folder), no_warning)])


def test_every_recorded_number_is_a_line_at_once(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        with_csv(log, tmp_path)
        log.step(10, {"step/loss_mask": 0.6931})
        log.epoch(1, {"loss/val": 0.5, "mAP/segm_APs": -1.0})
        assert rows(tmp_path) == [(10, "step/loss_mask", 0.6931), (1, "loss/val", 0.5)]


def test_a_resumed_run_has_no_line_twice(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        with_csv(log, tmp_path)
        log.epoch(1, {"loss/val": 0.1})
        offset = log.offset()
        log.epoch(2, {"loss/val": 0.2})
    with RunLog.resume(tmp_path, tmp_path, offset) as log:
        with_csv(log, tmp_path)
        assert rows(tmp_path) == [(1, "loss/val", 0.1)]
        log.epoch(2, {"loss/val": 0.3})
    assert rows(tmp_path) == [(1, "loss/val", 0.1), (2, "loss/val", 0.3)]


def test_a_record_that_is_cut_back_cuts_the_file(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        with_csv(log, tmp_path)
        log.epoch(1, {"loss/val": 0.1})
        offset = log.offset()
        log.epoch(2, {"loss/val": 0.2})
        log.cut(offset)
        assert rows(tmp_path) == [(1, "loss/val", 0.1)]


def test_a_logger_that_is_added_later_has_what_was_before(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        log.epoch(1, {"loss/val": 0.25, "lr/mask": 0.125})
        with_csv(log, tmp_path)
    assert sorted(rows(tmp_path)) == [(1, "loss/val", 0.25), (1, "lr/mask", 0.125)]


class _Broken(CsvSink):
    """A sink whose server is gone after the first number."""

    calls = 0

    def scalars(self, values: object, step: int) -> None:
        type(self).calls += 1
        raise ConnectionError("http://user:secret@host/ does not answer\nand more")


def test_a_sink_that_fails_warns_once_and_the_record_goes_on(tmp_path: Path) -> None:
    said: list[str] = []

    def broken() -> Sink:
        return _Broken(tmp_path)

    with RunLog.open(tmp_path) as log:
        log.share([GuardedSink("mlflow", broken, said.append)])
        assert log.epoch(1, {"loss/val": 0.1}) == {"loss/val": 0.1}
        log.epoch(2, {"loss/val": 0.2})
        log.text("t", "m", 2)
    (warning,) = said
    assert warning.startswith(
        "logger=mlflow: ConnectionError: http://user:***@host/ does not answer. The training goes on"
    )
    assert "\n" not in warning
    assert _Broken.calls == 1


def test_a_sink_that_cannot_be_opened_warns_once(tmp_path: Path) -> None:
    said: list[str] = []

    def unreachable() -> Sink:
        raise OSError("no route")

    sink = GuardedSink("wandb", unreachable, said.append)
    sink.scalars({"loss/val": 1.0}, 1)
    sink.close(failed=True)
    assert len(said) == 1
    assert said[0].startswith("logger=wandb: OSError: no route.")


class _Listening(CsvSink):
    """Keeps what it is closed with."""

    ends: list[bool]

    def close(self, *, failed: bool) -> None:
        self.ends.append(failed)


@pytest.mark.parametrize("fails", [True, False])
def test_a_sink_hears_how_the_run_ended(tmp_path: Path, fails: bool) -> None:
    sink = _Listening(tmp_path)
    sink.ends = []
    try:
        with RunLog.open(tmp_path) as log:
            log.share([sink])
            if fails:
                raise ValueError
    except ValueError:
        pass
    assert sink.ends == [fails]
