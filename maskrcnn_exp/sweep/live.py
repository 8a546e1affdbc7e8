"""What a person sees while a study runs: a header, one line per finished trial, a bar on a terminal, a farewell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, TextIO

import optuna
from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.record.console import Console
from maskrcnn_exp.sweep.repeat_stats import RepeatVerdict
from maskrcnn_exp.sweep.results import checkpoint_of
from maskrcnn_exp.sweep.standing import (
    Standing,
    distribution_text,
    one_line,
    params_text,
    reason_of,
    run_folder,
    seconds_of,
    train_command,
    value_text,
)

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as RichProgress

__all__ = ["StudyBar", "farewell", "study_header", "trial_line"]

_GAP: Final = "  "
_SHOWN_PARETO: Final = 6  # trial numbers in a line


def trial_line(
    trial: FrozenTrial,
    done: int,
    total: int,
    best: FrozenTrial | Sequence[FrozenTrial] | None,
    metrics: Sequence[str] = (),
) -> str:
    """Return one line about a finished trial.

    `8/24  #7  lr.mask_mult=8.31 clip.norm=2.1  mAP/segm_AP 0.4123  1.2 min  best 0.4301 (#3)`

    Args:
        trial: Complete, pruned or failed. Its number is its folder's name.
        done: Trials that are finished by now.
        total: Trials that the study is to have.
        best: The leader so far; with several objectives the trials of the Pareto front; None before the first.
        metrics: Name of each objective; without them the values stand alone.
    """
    parts = [
        f"{done}/{total}",
        f"#{trial.number}",
        params_text(trial.params),
        _outcome(trial, metrics),
        f"{seconds_of(trial) / 60:.1f} min",
        _leader(best),
    ]
    return _GAP.join(part for part in parts if part)


def _outcome(trial: FrozenTrial, metrics: Sequence[str]) -> str:
    if trial.state is TrialState.COMPLETE:
        names = metrics if len(metrics) == len(trial.values) else [""] * len(trial.values)
        return _GAP.join(f"{name} {value_text(value)}".strip() for name, value in zip(names, trial.values, strict=True))
    if trial.state is TrialState.PRUNED:
        epoch = "" if trial.last_step is None else f" at epoch {trial.last_step}"
        return f"pruned{epoch}: {reason_of(trial)}"
    return f"failed: {reason_of(trial)}" if trial.state is TrialState.FAIL else trial.state.name.lower()


def _leader(best: FrozenTrial | Sequence[FrozenTrial] | None) -> str:
    if best is None:
        return "no best yet"
    if isinstance(best, FrozenTrial):
        return f"best {value_text(best.values[0])} (#{best.number})"
    shown = " ".join(f"#{trial.number}" for trial in best[:_SHOWN_PARETO])
    more = f" and {len(best) - _SHOWN_PARETO} more" if len(best) > _SHOWN_PARETO else ""
    return f"Pareto front {shown}{more}" if best else "no best yet"


def study_header(
    study: optuna.Study,
    folder: Path,
    total: int,
    storage: str = "",
    *,
    workers: int = 1,
    methods: Sequence[str] = (),
) -> list[str]:
    """Return the lines that open a sweep: what is searched, over what, how, where it lies, how far it is.

    Args:
        study: Its attributes name metric and space.
        folder: Its folder.
        total: Trials that the study is to have.
        storage: Where the study is kept, without a password, if that is not the folder.
        workers: Trials at one time.
        methods: How, such as sampler and pruner.
    """
    standing = Standing.read(study, folder)
    goals = " and ".join(
        f"{'maximise' if up else 'minimise'} {metric}"
        for metric, up in zip(standing.metrics, standing.maximize, strict=True)
    )
    width = max((len(key) for key in standing.space), default=0)
    lines = [f"study {standing.name}: {goals}, {total} trials{f', {workers} at a time' if workers > 1 else ''}"]
    lines += [f"   {key.ljust(width)}  {distribution_text(values)}" for key, values in standing.space.items()]
    if methods:
        lines.append(f"   {', '.join(methods)}")
    lines.append(f"   in {folder}{f', kept in {storage}' if storage else ''}")
    finished = len(standing.finished)
    if finished:
        lines.append(f"   {finished} of {total} trials finished before: going on")
    return lines


def farewell(
    study: optuna.Study,
    folder: Path,
    command: str,
    *,
    repeat: RepeatVerdict | str | None = None,
    total: int | None = None,
    resume: str = "",
    report: Path | None = None,
) -> list[str]:
    """Return the lines that close a sweep: how far it came, the winner, how to train it again, how to go on.

    Args:
        study: As it stands.
        folder: The study's folder.
        command: Prefix of a training, such as `python -m maskrcnn_exp train`.
        repeat: What repeats with other seeds said of the winner, or why there was nothing to repeat.
        total: Trials that the study is to have; None says that it has them all.
        resume: The whole command line that goes on with the study. Shown while trials are left.
        report: Where report.md lies; in the folder, if it is there, where it is not given.
    """
    standing = Standing.read(study, folder)
    lines = [_how_far(standing, total)]
    leaders = standing.leaders
    for leader in leaders[:_SHOWN_PARETO]:
        lines += _leader_lines(leader, standing, command)
    if len(leaders) > _SHOWN_PARETO:
        lines.append(f"   and {len(leaders) - _SHOWN_PARETO} more on the Pareto front: see best.yaml")
    if not leaders:
        lines.append("   no trial completed with a usable value, so there is no best one")
        lines += [f"   {len(row.trials)} × {row.state}: {row.example}" for row in standing.reasons()]
    if isinstance(repeat, str):
        lines.append(f"   {repeat}")
    elif repeat is not None:
        lines.append(f"   repeated with other seeds: {repeat.sentence}")
    if resume and total is not None and len(standing.finished) < total:
        lines.append(f"   go on: {resume}")
    path = report or folder / "report.md"
    return [*lines, f"   report: {path}"] if path.is_file() else lines


def _how_far(standing: Standing, total: int | None) -> str:
    counts = standing.counts()
    states = ", ".join(f"{counts[name]} {name}" for name in ("completed", "pruned", "failed") if counts[name])
    of_total = "" if total is None else f" of {total}"
    return f"study {standing.name}: {counts['finished']}{of_total} trials finished{f' ({states})' if states else ''}"


def _leader_lines(trial: FrozenTrial, standing: Standing, command: str) -> list[str]:
    values = ", ".join(
        f"{metric} {value_text(value)}" for metric, value in zip(standing.metrics, trial.values, strict=True)
    )
    run = run_folder(trial, standing.folder)
    return [
        f"   {'best' if standing.is_single else 'Pareto'}: trial {trial.number}, {values}, {params_text(trial.params)}",
        f"   lies in {checkpoint_of(run) or run}",
        f"   train it again: {train_command(trial, command, standing.fixed)}",
    ]


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
