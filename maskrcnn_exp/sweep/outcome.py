"""What a trial that ended found: its objective, what it did to each loss, and its row in TensorBoard's HPARAMS tab."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.history import History
from maskrcnn_exp.sweep.attrs import RecordSummary
from maskrcnn_exp.sweep.objective import Metric, read_objective, summarize

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["list_for_tensorboard", "objective_of", "summary_of"]


def objective_of(folder: Path, metrics: Sequence[Metric], returned: object, objectives: int) -> list[float] | str:
    """Return a value for each objective, or a sentence that says why there is none.

    Args:
        folder: The trial's.
        metrics: Read from the record; where there are none the returned value counts.
        returned: By the program: a number, or a list of them.
        objectives: How many the study has.
    """
    return _from_record(folder, metrics) if metrics else _from_return(returned, objectives)


def summary_of(folder: Path) -> RecordSummary | None:
    """Return what a study keeps of a trial's record; None where the program keeps none, or did not get so far."""
    history = _history(folder)
    return None if history is None else summarize(history)


def list_for_tensorboard(
    folder: Path,
    params: Mapping[str, object],
    space: Mapping[str, BaseDistribution],
    metrics: Sequence[Metric],
    found: list[float] | str,
) -> None:
    """List a trial in the HPARAMS tab, whatever became of it; its columns are the objectives and the last numbers."""
    from maskrcnn_exp.record.hparams import write_hparams
    from maskrcnn_exp.sweep.hparams import columns_of

    folder.mkdir(parents=True, exist_ok=True)  # absent where the trial failed before its start
    history = _history(folder)
    columns = dict.fromkeys(map(str, metrics), math.nan)  # a column also where this trial has no value for it
    if history is not None:
        known = {str(metric): read_objective(history, metric) for metric in metrics}
        columns |= {name: value for name, value in known.items() if value is not None}
        columns |= {tag: value for tag, value in summarize(history)["final"].items() if tag not in columns}
    if not metrics and not isinstance(found, str):
        columns |= {"value" if len(found) == 1 else f"value {index}": value for index, value in enumerate(found)}
    write_hparams(folder, params, columns, infos=columns_of(space), failed=isinstance(found, str))


def _history(folder: Path) -> History | None:
    try:
        return History.read(folder)
    except DataError:
        return None


def _from_record(folder: Path, metrics: Sequence[Metric]) -> list[float] | str:
    try:
        history = History.read(folder, {metric.tag for metric in metrics})
    except DataError as error:
        return str(error)
    values = [read_objective(history, metric) for metric in metrics]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        absent = [metric.tag for metric, value in zip(metrics, values, strict=True) if value is None]
        return f"the record has no {', '.join(absent)}"
    return known


def _from_return(returned: object, objectives: int) -> list[float] | str:
    found: list[Any] = list(returned) if isinstance(returned, list | tuple) else [returned]
    try:
        values = [float(value) for value in found]
    except (TypeError, ValueError):
        return f"the program returned {returned!r} where a number is the objective"
    if len(values) != objectives:
        return f"the program returned {len(values)} values, the study has {objectives} objectives"
    return values
