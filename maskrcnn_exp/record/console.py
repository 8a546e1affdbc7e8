"""What a user sees while a run goes on: the block after each epoch, and a progress bar on a terminal.

In a file or in CI the same text comes without colours, bars and control characters.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from maskrcnn_exp.record.tables import (
    CocoNumbers,
    GroupRow,
    groups_table,
    metrics_table,
    number,
    summary_lines,
)

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = [
    "CocoNumbers",
    "Console",
    "GroupRow",
    "Progress",
    "epoch_block",
    "groups_table",
    "metrics_table",
    "summary_lines",
]

_NOTE: Final = "        ← "
_REFRESH_SECONDS: Final = 0.2


def epoch_block(
    epoch: int,
    epochs: int,
    train_losses: Mapping[str, float],
    total: float,
    *,
    val_total: float | None = None,
    bbox_ap: float | None = None,
    bbox_ap50: float | None = None,
    segm_ap: float | None = None,
    segm_ap50: float | None = None,
    notes: Mapping[str, str] | None = None,
) -> str:
    """Return the lines that the console prints after an epoch. Frozen: tests pin them.

    Args:
        epoch: Counted from 1.
        train_losses: Mean of each loss over the epoch.
        total: Their weighted sum.
        val_total: None leaves the line out, as after an epoch without evaluation. So do None for the AP numbers;
            -1 shows `n/a`.
        notes: Short remarks by line: a loss's name, `total`, `val_total`, `bbox_ap` or `segm_ap`. A remark on
            a line that is not shown comes at the end.
    """
    lines = {"epoch": f"Epoch {epoch}/{epochs}", "training": "📊 Training Losses:", "total": f"   Total: {total:.4f}"}
    lines |= {name: f"   {name}: {train_losses[name]:.4f}" for name in sorted(train_losses)}
    if val_total is not None:
        lines["val_total"] = f"📈 Validation Loss: {val_total:.4f}"
    if bbox_ap is not None:
        lines["bbox_ap"] = f"📦 Box mAP: {number(bbox_ap)}{_ap50(bbox_ap50)}"
    if segm_ap is not None:
        lines["segm_ap"] = f"🎭 Mask mAP: {number(segm_ap)}{_ap50(segm_ap50)}"
    for name, note in (notes or {}).items():
        lines[name] = f"{lines.get(name, f'   {name}')}{_NOTE}{note}"
    return "\n".join(lines.values())


def _ap50(value: float | None) -> str:
    return "" if value is None else f" (AP50: {number(value)})"


class Progress(Protocol):
    """How far an epoch is."""

    def advance(self, losses: Mapping[str, float] | None = None) -> None:
        """One more step is done; `losses` are shown beside the bar."""


class Console:
    """Prints for people: colours and a bar where `stream` is a terminal, plain text elsewhere."""

    def __init__(self, stream: TextIO | None = None, *, outlives_reader: bool = False) -> None:
        """`stream` is standard output where it is not given. Characters it cannot show become `?`.

        Args:
            outlives_reader: Where the reader of a pipe leaves, go on with standard error and set `closed`; without it
                BrokenPipeError is raised.
        """
        self._stream = sys.stdout if stream is None else stream
        if isinstance(self._stream, io.TextIOWrapper):
            # A Windows or LANG=C stream cannot encode 📊, and a run must not die of that.
            self._stream.reconfigure(errors="replace")
        self._rich = _rich_console(self._stream) if self._stream.isatty() else None
        self._outlives_reader = outlives_reader
        self.closed = False  # the reader of standard output is gone; what is printed goes to standard error

    @classmethod
    def of_process(cls, *, first: bool, outlives_reader: bool = False) -> Console:
        """Return standard output for the first of several processes, silence for the others."""
        return cls(outlives_reader=outlives_reader) if first else cls(_Nowhere())

    def print(self, text: str) -> None:
        """Print `text` as it is, with notes in colour on a terminal; above the bar while one is shown."""
        if self._rich is None:
            try:
                self._stream.write(f"{text}\n")
                self._stream.flush()
            except BrokenPipeError:
                if not self._outlives_reader:
                    raise
                self._lose_reader(text)
            return
        from rich.text import Text

        styled = Text(text)
        styled.highlight_regex(re.compile(r"←.*"), "yellow")
        self._rich.print(styled, soft_wrap=True)

    def _lose_reader(self, text: str) -> None:
        """Go on with standard error, or with nothing where that is gone too."""
        # The interpreter flushes the stream once more at its end; that must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        self._stream, was_closed = (_Nowhere() if self.closed else sys.stderr), self.closed
        self.closed = True
        if not was_closed:
            self.print(f"the reader of standard output is gone: the run saves and ends\n{text}")

    @contextmanager
    def progress(self, total_steps: int, done: int = 0, description: str = "") -> Iterator[Progress]:
        """Show a bar with the time left while the context is open; nothing where there is no terminal.

        Args:
            total_steps: Steps of the whole bar.
            done: Steps that were done before, as in a resumed epoch.
            description: Stands before the bar.
        """
        if self._rich is None:
            yield _NoBar()
            return
        bar = _rich_progress(self._rich)
        task = bar.add_task(description, total=total_steps, completed=done, losses="")
        with bar:
            yield _Bar(bar, task)
            bar.refresh()


class _Nowhere(io.StringIO):
    """A stream that forgets what is written."""

    def write(self, text: str) -> int:
        return len(text)


class _NoBar:
    def advance(self, losses: Mapping[str, float] | None = None) -> None:
        """Nothing to show."""


class _Bar:
    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self._shown_at = 0.0

    def advance(self, losses: Mapping[str, float] | None = None) -> None:
        """Count always, draw a few times per second."""
        self._bar.advance(self._task)
        now = time.monotonic()
        if now - self._shown_at < _REFRESH_SECONDS:
            return
        self._shown_at = now
        if losses:
            shown = " ".join(f"{name.removeprefix('loss_')} {value:.3f}" for name, value in sorted(losses.items()))
            self._bar.update(self._task, losses=shown)
        self._bar.refresh()


def _rich_console(stream: TextIO) -> RichConsole:
    from rich.console import Console as RichConsole

    # Rich itself honours NO_COLOR and TERM=dumb.
    return RichConsole(file=stream, force_terminal=True)


def _rich_progress(console: RichConsole) -> RichProgress:
    from rich import progress

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[losses]}", markup=False),
        console=console,
        transient=True,
        auto_refresh=False,  # no thread: the loader's workers are forked, and a lock held then stays held in them
        redirect_stdout=False,
        redirect_stderr=False,
    )
