"""The bar on a terminal, and nothing of it in a file."""

from __future__ import annotations

import io
import re

import pytest

from maskrcnn_exp.sweep.bar import StudyBar

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")  # all but the line feed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_in_a_file_there_is_text_and_nothing_else() -> None:
    stream = io.StringIO()
    with StudyBar(24, stream=stream) as bar:
        bar.update(1, ["#1 epoch 3/6 0.31"])
        bar.print("trial 0/24  [bold]")
        bar.update(2)
    assert stream.getvalue() == "trial 0/24  [bold]\n"


def test_on_a_terminal_text_stands_above_the_bar(terminal: Terminal) -> None:
    with StudyBar(24, stream=terminal) as bar:
        bar.update(7, ["#7 epoch 3/6 0.31", "#8 epoch 1/6 [x]"])
        bar.print("trial 7/24  lr.mask_mult=8.31 [bold]")
        bar.update(8)
    shown = terminal.getvalue()
    assert "7/24" in shown
    assert "#7 epoch 3/6 0.31 | #8 epoch 1/6 [x]" in shown
    assert "trial 7/24  lr.mask_mult=8.31 [bold]\n" in shown
    assert shown.rfind("8/24") > shown.find("[bold]")


def test_long_descriptions_do_not_break_the_row(terminal: Terminal) -> None:
    with StudyBar(24, stream=terminal) as bar:
        bar.update(1, ["#7 epoch 3/6 0.31 " * 20])
    rows = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue()).replace("\r", "\n").split("\n")
    assert max(map(len, rows)) <= 100


def test_time_left_counts_this_starts_trials_only(terminal: Terminal) -> None:
    # 2 trials in 120 s, ending together: the 10 that are left take 600 s, 570 after half a minute.
    clock = Clock()
    with StudyBar(20, done=8, stream=terminal, clock=clock) as bar:
        bar.update(8)
        assert "left" not in terminal.getvalue()
        clock.now = 120.0
        bar.update(9)
        bar.update(10)
        assert "0:10:00 left" in terminal.getvalue()
        clock.now = 150.0
        bar.update(10)
        assert "0:09:30 left" in terminal.getvalue()
