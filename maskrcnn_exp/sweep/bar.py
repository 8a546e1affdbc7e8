"""The bar of a study on a terminal, with the time left, and the text above it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from maskrcnn_exp.record.console import Console
from maskrcnn_exp.sweep.trial_text import one_line

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as RichProgress

__all__ = ["StudyBar"]


class StudyBar:
    """A bar with the time left where `stream` is a terminal, and text above it; elsewhere the text alone."""

    def __init__(
        self,
        total: int,
        done: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Show nothing yet; use it as a context.

        Args:
            total: Trials that the study is to have.
            done: Trials that finished before this start: they do not count for the speed.
            stream: Standard output where it is not given.
            clock: Seconds.
        """
        stream = sys.stdout if stream is None else stream
        self._pace = _Pace(total, done, clock)
        self._plain = Console(stream)
        self._rich = _rich_console(stream) if stream.isatty() else None
        self._bar = None if self._rich is None else _rich_progress(self._rich)
        if self._bar is not None:
            self._task = self._bar.add_task("trials", total=total, completed=done, running="", left="")

    def __enter__(self) -> StudyBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def print(self, text: str) -> None:
        """Print whole lines, above the bar where there is one."""
        if self._rich is None:
            self._plain.print(text)
            return
        from rich.text import Text

        self._rich.print(Text(text), soft_wrap=True)

    def update(self, done: int, running: Sequence[str] = ()) -> None:
        """Draw the bar anew; call it a few times per second at most, also where nothing changed, for the clock.

        Args:
            done: Finished trials of the whole study.
            running: What goes on, one text per running trial, such as `#7 epoch 3/6 0.31`.
        """
        if self._bar is None:
            return
        self._bar.update(
            self._task,
            completed=done,
            left=self._pace.left(done),
            running=" | ".join(one_line(text) for text in running),
        )
        self._bar.refresh()


class _Pace:
    """Time left. Rich's own estimate takes two trials that end together for two trials in no time."""

    def __init__(self, total: int, done: int, clock: Callable[[], float]) -> None:
        self._total, self._done_before, self._done = total, done, done
        self._clock = clock
        self._started_at = self._last_end = clock()

    def left(self, done: int) -> str:
        """Expect the rest to take as long as this start's trials did; count down between two ends."""
        now = self._clock()
        if done != self._done:
            self._done, self._last_end = done, now
        finished = done - self._done_before
        if finished <= 0:
            return ""
        expected = (self._last_end - self._started_at) / finished * (self._total - done)
        left_s = max(0, round(expected - (now - self._last_end)))
        return f"{timedelta(seconds=left_s)} left"


def _rich_console(stream: TextIO) -> RichConsole:
    from rich.console import Console as RichConsole

    return RichConsole(file=stream, force_terminal=True, highlight=False)


def _rich_progress(console: RichConsole) -> RichProgress:
    from rich import progress
    from rich.table import Column

    one_row = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=20),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[left]}", markup=False),
        progress.TextColumn("{task.fields[running]}", markup=False, table_column=one_row),
        console=console,
        transient=True,
        auto_refresh=False,  # no thread: workers are started from this process
        redirect_stdout=False,
        redirect_stderr=False,
        expand=True,
    )
