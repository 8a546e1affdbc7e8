"""A run that is a trial of a study: it reports its epochs, and ends where the study says so."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from maskrcnn_exp.engine.checkpoint import read_checkpoint
from maskrcnn_exp.errors import DataError, Interrupted, Pruned, UserError
from maskrcnn_exp.recipes.train import run
from maskrcnn_exp.record.history import History
from tests.recipes.conftest import settings_for
from tests.recipes.records import assert_same_checkpoint, assert_same_record

TWO_PROCESSES = ("trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")


@dataclass
class Trial:
    """Remembers what it hears; from epoch `stop_at` on it has a reason to stop."""

    stop_at: int = 99
    heard: dict[int, dict[str, float]] = field(default_factory=dict)
    signal: signal.Signals | None = None
    error: UserError | None = None

    def report(self, epoch: int, values: Mapping[str, float]) -> str | None:
        self.heard[epoch] = dict(values)
        if self.signal is not None:
            os.kill(os.getpid(), self.signal)
        if self.error is not None:
            raise self.error
        return f"epoch {epoch} is enough" if epoch >= self.stop_at else None


def train(folder: Path, trial: Trial | None, *overrides: str) -> float | None:
    config, settings = settings_for(folder, *overrides)
    return run(config, settings, trial)


def test_a_trial_hears_every_epoch_as_the_record_holds_it(tmp_path: Path) -> None:
    trial = Trial()
    train(tmp_path, trial, "trainer.eval_every_epochs=2")
    history = History.read(tmp_path)
    assert list(trial.heard) == [1, 2]
    assert "loss/val" not in trial.heard[1]  # not evaluated, told all the same
    assert "mAP/segm_APl" not in trial.heard[2]  # no large object in 64 pixels: COCO's -1 is no number
    for epoch, values in trial.heard.items():
        recorded = {}
        for tag in history.tags:
            series = history.series(tag)
            if not tag.startswith("step/") and epoch in series.steps:
                recorded[tag] = float(series.values[series.steps == epoch][0])
        assert values == pytest.approx(recorded)  # the record holds float32


def test_a_run_is_not_pruned_after_its_last_epoch(tmp_path: Path) -> None:
    """Nothing would be saved, and the study would lose a complete trial."""
    assert train(tmp_path, Trial(stop_at=2)) is not None


def test_a_pruned_run_stops_after_its_epoch_and_is_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Pruned) as caught:
        train(tmp_path / "run", Trial(stop_at=1))
    assert caught.value.reason == "epoch 1 is enough"
    assert capsys.readouterr().out.endswith("pruned: epoch 1 is enough\n")
    assert read_checkpoint(tmp_path / "run/checkpoints/best.pt").epochs_done == 1

    train(tmp_path / "run", None)  # goes on as if nothing had been
    train(tmp_path / "whole", None)
    assert_same_record(tmp_path / "whole", tmp_path / "run")
    assert_same_checkpoint(tmp_path / "whole/checkpoints/last.pt", tmp_path / "run/checkpoints/last.pt")


def test_a_signal_counts_more_than_a_reason_to_prune(tmp_path: Path) -> None:
    """Pruned would make a worker take its next trial, although it was told to stop."""
    with pytest.raises(Interrupted):
        train(tmp_path, Trial(stop_at=1, signal=signal.SIGTERM))


def test_a_reason_survives_the_way_between_processes() -> None:
    copy = pickle.loads(pickle.dumps(Pruned("loss_mask is nan")))
    assert (copy.reason, str(copy)) == ("loss_mask is nan", "loss_mask is nan")


@pytest.mark.slow
def test_two_processes_are_pruned_together(tmp_path: Path) -> None:
    with pytest.raises(Pruned, match="epoch 1 is enough"):
        train(tmp_path, Trial(stop_at=1), *TWO_PROCESSES)
    assert list(History.read(tmp_path).series("loss/val").steps) == [1]
    assert read_checkpoint(tmp_path / "checkpoints/last.pt").epochs_done == 1


@pytest.mark.slow
def test_an_error_of_the_first_process_ends_both(tmp_path: Path) -> None:
    """The other process waits for the answer: without one it would wait for ever."""
    with pytest.raises(DataError, match="the study is gone"):
        train(tmp_path, Trial(error=DataError("the study is gone")), *TWO_PROCESSES)
