"""The reference's training in a process of its own, as its users run it.

What ours sets for its process, how malloc treats freed memory above all, must not help the reference.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from maskrcnn_exp.data.target import Sample

if TYPE_CHECKING:
    from benchmarks.bench.trainings import ReferenceTraining

__all__ = ["RemoteReference"]

_READY = "ready"


class RemoteReference:
    """Does the reference's steps in another process; the two take turns, so neither disturbs the other.

    Raises:
        RuntimeError: the other process failed; its traceback is the message.
    """

    def __init__(self, words: Sequence[str], batches: Sequence[list[Sample]], classes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, tuple(words), list(batches), classes), daemon=True)
        self._process.start()
        there.close()
        self._answer()

    def step(self, number: int) -> None:
        self._here.send(number)
        self._answer()

    def close(self) -> None:
        self._here.send(None)
        self._process.join()
        self._here.close()

    def _answer(self) -> None:
        try:
            answer = self._here.recv()
        except EOFError:
            raise RuntimeError(f"the reference's process ended with code {self._process.exitcode}.") from None
        if answer != _READY:
            raise RuntimeError(answer)


def _serve(pipe: Connection, words: tuple[str, ...], batches: list[list[Sample]], classes: int) -> None:
    try:
        training = _start(words, classes)
        pipe.send(_READY)
        while (number := pipe.recv()) is not None:
            training.step(batches[number % len(batches)])
            pipe.send(_READY)
    except Exception:
        pipe.send(traceback.format_exc())
        raise


def _start(words: tuple[str, ...], classes: int) -> ReferenceTraining:
    from benchmarks.bench.trainings import reference_training

    # trainer.fast=false sets nothing for the process; network and weights are the same.
    return reference_training((*words, "trainer.fast=false"), classes)
