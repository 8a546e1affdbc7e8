"""The thread that writes rests between the pieces, until somebody waits for it."""

from __future__ import annotations

import io
import time
from threading import Event

import pytest
import torch

from maskrcnn_exp.engine.paced_file import PacedFile


class Rests(Event):
    """Counts the seconds that it was waited for, and does not let wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return self.is_set()


class SlowFile(io.BytesIO):
    """Each piece takes 20 ms of the processor."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        return super().write(data)


def test_nine_times_what_was_computed_is_rested() -> None:
    rests = Rests()
    file = PacedFile(SlowFile(), rests)
    assert [file.write(b"one"), file.write(b"piece")] == [3, 5]
    assert rests.seconds == [pytest.approx(9 * 0.02, rel=0.5)] * 2


def test_small_pieces_are_not_rested_after_one_by_one() -> None:
    rests = Rests()
    file = PacedFile(io.BytesIO(), rests)
    for _ in range(20):
        file.write(b"x")
    assert len(rests.seconds) < 5


def test_nobody_rests_in_a_hurry() -> None:
    hurry = Event()
    hurry.set()
    file = PacedFile(SlowFile(), hurry)
    started = time.perf_counter()
    for _ in range(5):
        file.write(b"x")
    assert time.perf_counter() - started < 20 * time.thread_time() + 5  # five rests alone would be 0.9 s more


def test_torch_writes_to_it_what_it_writes_to_a_file() -> None:
    plain, paced = io.BytesIO(), io.BytesIO()
    content = {"weight": torch.arange(1000.0), "step": 3}
    torch.save(content, plain)
    torch.save(content, PacedFile(paced, Rests()))  # type: ignore[arg-type]  # write and flush are all that torch takes
    assert paced.getvalue() == plain.getvalue()
