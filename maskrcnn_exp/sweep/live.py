"""What a person reads while a study runs: a header, one line per finished trial, a farewell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import optuna
from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.compare.repeat_stats import RepeatVerdict
from maskrcnn_exp.sweep.results import checkpoint_of
from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.trial_text import (
    distribution_text,
    params_text,
    reason_of,
    run_folder,
    seconds_of,
    train_command,
    value_text,
)

__all__ = ["farewell", "study_header", "trial_line"]

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
        return f"pruned: {reason_of(trial)}"
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
