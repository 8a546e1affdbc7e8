"""Loader workers and the signals that ask a training to stop."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from multiprocessing.process import BaseProcess

import pytest

from maskrcnn_exp.data.loader import EpochPlan, TrainBatches
from maskrcnn_exp.data.shapes import ShapesDataset
from maskrcnn_exp.data.worker_signals import workers_begin_deaf
from maskrcnn_exp.stop import STOP_SIGNALS

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="the system does not tell who sent a signal"),
    # Python 3.12 warns of every fork in a process with threads; torch forks its workers.
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]


def begin(pictures: int) -> tuple[TrainBatches, list[BaseProcess]]:
    dataset = ShapesDataset(size=pictures, seed=0, start=0, image_size=64)
    before = set(multiprocessing.active_children())
    batches = TrainBatches(dataset, EpochPlan(0, pictures, 1), None, workers=2)
    next(batches.epoch(1))
    return batches, [process for process in multiprocessing.active_children() if process not in before]


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_to_all_processes_of_a_job_ends_no_worker(number: signal.Signals) -> None:
    batches, workers = begin(pictures=12)
    for worker in workers:
        subprocess.run(["kill", f"-{int(number)}", str(worker.pid)], check=True)
    assert len(list(batches.epoch(2))) == 12
    assert [worker.is_alive() for worker in workers] == [True, True]


def test_the_training_itself_ends_its_workers() -> None:
    _, workers = begin(pictures=2)
    for worker in workers:
        worker.terminate()
        worker.join(10)
    assert [worker.exitcode for worker in workers] == [0, 0]


def test_a_signal_that_comes_while_workers_start_ends_none(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def fork_under_fire() -> int:
        child = fork()
        if child == 0:
            for which in STOP_SIGNALS:
                os.kill(os.getpid(), which)
        return child

    monkeypatch.setattr(os, "fork", fork_under_fire)
    batches, workers = begin(pictures=12)
    assert len(list(batches.epoch(2))) == 12
    assert [worker.is_alive() for worker in workers] == [True, True]


def test_a_signal_that_comes_while_workers_start_reaches_the_training() -> None:
    heard: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with workers_begin_deaf():
            signal.raise_signal(signal.SIGTERM)
            assert not heard
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert heard == [signal.SIGTERM]
