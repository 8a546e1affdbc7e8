"""The diagnosis of a run under way."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from maskrcnn_exp.diagnose.live import FILE, LiveDiagnosis
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.run_log import RunLog
from tests.diagnose.recorded import recorded_points


def play(live: LiveDiagnosis, name: str, log: RunLog, epochs: range) -> list[dict[str, str]]:
    """Let a recorded run happen again, epoch by epoch; return the notes of each."""
    by_epoch, by_step, _ = recorded_points(name)
    per_epoch = max(by_step["step/total"]) / max(by_epoch["loss/train_total"])
    notes = []
    for epoch in epochs:
        for step in sorted(by_step["step/total"]):
            if (epoch - 1) * per_epoch < step <= epoch * per_epoch:
                values = {tag: points[step] for tag, points in by_step.items()}
                log.step(step, values)
                live.after_step(step, values)
        recorded = log.epoch(epoch, {tag: points.get(epoch) for tag, points in by_epoch.items()})
        notes.append(live.after_epoch(epoch, recorded, log))
    return notes


def begin(mode: str, name: str, folder: Path) -> LiveDiagnosis:
    return LiveDiagnosis.start(mode, folder, recorded_points(name)[2], before_epoch=1)


def test_the_note_comes_from_the_second_epoch_on_and_the_file_follows(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        notes = play(begin("warn", "shapes_mult_0.02", tmp_path), "shapes_mult_0.02", log, range(1, 7))
    assert notes[0] == {}
    assert all(note["loss_mask"].startswith("barely moving: lr.mask_mult=") for note in notes[1:])
    content = json.loads((tmp_path / FILE).read_text())
    assert (content["format"], content["epoch"]) == (1, 6)
    assert content["verdicts"][0]["rule"] == "undertrained_part"


def test_the_text_in_tensorboard_is_written_when_the_findings_change(tmp_path: Path) -> None:
    with RunLog.open(tmp_path) as log:
        play(begin("warn", "shapes_mult_0.02", tmp_path), "shapes_mult_0.02", log, range(1, 7))
    texts = History.read(tmp_path).texts["diagnosis"]
    assert list(texts) == [2]
    assert "SEVERE: The mask head is undertrained" in texts[2]


def test_a_healthy_run_is_left_in_peace(tmp_path: Path) -> None:
    live = begin("stop", "shapes_mult_1", tmp_path)
    with RunLog.open(tmp_path) as log:
        assert play(live, "shapes_mult_1", log, range(1, 7)) == [{}] * 6
    assert live.stop is None
    assert live.answer() == ""
    assert History.read(tmp_path).texts == {}


def test_a_severe_verdict_stops_when_it_is_the_answer_twice_in_a_row(tmp_path: Path) -> None:
    live = begin("stop", "shapes_mult_0.02", tmp_path)
    with RunLog.open(tmp_path) as log:
        play(live, "shapes_mult_0.02", log, range(1, 3))
        assert live.stop is None
        play(live, "shapes_mult_0.02", log, range(3, 4))
    assert live.stop is not None
    assert live.stop.rule == "undertrained_part"
    assert live.answer().startswith("diagnosis: The mask head is undertrained")
    assert "→ python -m maskrcnn_exp train trainer.epochs=6 seed=0 lr.mask_mult=" in live.answer()


def test_a_warning_does_not_stop_and_warn_never_does(tmp_path: Path) -> None:
    mild, warned = begin("stop", "shapes_mult_0.2", tmp_path / "a"), begin("warn", "shapes_mult_0.02", tmp_path / "b")
    for live, name in ((mild, "shapes_mult_0.2"), (warned, "shapes_mult_0.02")):
        live.folder.mkdir()
        with RunLog.open(live.folder) as log:
            play(live, name, log, range(1, 7))
        assert live.stop is None


def test_switched_off_it_says_and_writes_nothing(tmp_path: Path) -> None:
    live = begin("none", "shapes_mult_0.02", tmp_path)
    with RunLog.open(tmp_path) as log:
        assert play(live, "shapes_mult_0.02", log, range(1, 7)) == [{}] * 6
    assert not (tmp_path / FILE).exists()
    assert History.read(tmp_path).texts == {}


@pytest.mark.parametrize("stopped_after", [1, 2, 4])
def test_a_resumed_run_is_judged_as_one_that_was_never_stopped(stopped_after: int, tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    name = "shapes_mult_0.02"
    for folder in (whole, halves):
        folder.mkdir()
    with RunLog.open(whole) as log:
        unbroken = begin("stop", name, whole)
        play(unbroken, name, log, range(1, 6))
    with RunLog.open(halves) as log:
        play(begin("stop", name, halves), name, log, range(1, stopped_after + 1))
        offset = log.offset()
    with RunLog.resume(halves, halves, offset) as log:
        resumed = LiveDiagnosis.start("stop", halves, recorded_points(name)[2], before_epoch=stopped_after + 1)
        play(resumed, name, log, range(stopped_after + 1, 6))
    contents = [json.loads((folder / FILE).read_text()) | {"run": ""} for folder in (whole, halves)]
    assert [entry["rule"] for entry in contents[0]["verdicts"]] == [entry["rule"] for entry in contents[1]["verdicts"]]
    assert resumed.stop is not None
    assert unbroken.stop is not None
    assert resumed.stop.key == unbroken.stop.key
    assert History.read(halves).texts["diagnosis"].keys() == History.read(whole).texts["diagnosis"].keys()


def test_an_epoch_costs_less_than_20_ms_of_the_processor(tmp_path: Path) -> None:
    """A hundred epochs with ten thousand logged steps; the least of twenty, for other work goes on beside."""
    by_epoch, by_step, facts = recorded_points("nuclei")
    live = LiveDiagnosis("warn", tmp_path, facts)
    for epoch in range(1, 101):
        for tag, points in by_epoch.items():
            live._epochs.setdefault(tag, {})[epoch] = points[1 + epoch % 22] if points.keys() > {1, 22} else 0.1
    live._steps = {tag: {step: float(step % 7 + 1) for step in range(1, 10_001, 10)} for tag in by_step}
    seconds = []
    with RunLog.disabled() as log:
        for epoch in range(101, 121):
            started = time.process_time()
            live.after_epoch(epoch, {tag: points[1] for tag, points in by_epoch.items() if 1 in points}, log)
            seconds.append(time.process_time() - started)
    assert min(seconds) < 0.02


def test_a_verdict_that_is_not_sure_does_not_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = begin("stop", "shapes_mult_0.02", tmp_path)
    monkeypatch.setattr("maskrcnn_exp.diagnose.thresholds.SURE_ENOUGH_TO_STOP", 0.99)
    with RunLog.open(tmp_path) as log:
        play(live, "shapes_mult_0.02", log, range(1, 7))
    assert live.stop is None
