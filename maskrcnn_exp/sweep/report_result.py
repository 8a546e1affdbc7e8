"""The report's result: who leads and by how much, whether that is more than noise, and what it took."""

from __future__ import annotations

from typing import Final

from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.compare.repeat_stats import RepeatVerdict
from maskrcnn_exp.record.tables import duration
from maskrcnn_exp.sweep.insight import LossChange, diverged, loss_changes, time_spent
from maskrcnn_exp.sweep.markdown import code, escaped, table, trial_numbers
from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.trial_text import number_text, run_folder, train_command, value_text

__all__ = ["result"]

_UNCHANGED: Final = 0.02  # a loss that moved less than this is the same


def result(standing: Standing, command: str, repeat: RepeatVerdict | str | None) -> str:
    """Return the section; arguments as for `sections`."""
    parts = ["## Result"]
    if standing.best is not None:
        parts.append(_winner(standing.best, standing, command))
        parts.append(_verdict(repeat))
        parts.append(_winner_losses(standing.best, standing))
    elif standing.pareto:
        parts.append(_front(standing))
    else:
        parts.append("No trial completed with a usable value, so there is no best one.")
    parts += [_how_many(standing), _time(standing)]
    return "\n\n".join(part for part in parts if part)


def _winner(best: FrozenTrial, standing: Standing, command: str) -> str:
    params = ", ".join(f"{code(f'{name}={number_text(value)}')}" for name, value in best.params.items())
    value = f"{escaped(standing.metrics[0])} = {value_text(best.values[0])}"
    return (
        f"Trial **{best.number}** leads with {value}{f': {params}' if params else ''}. "
        f"It lies in {code(str(run_folder(best, standing.folder)))}. Train it again:\n\n"
        f"```sh\n{train_command(best, command, standing.fixed)}\n```"
    )


def _verdict(repeat: RepeatVerdict | str | None) -> str:
    if isinstance(repeat, str):
        return f"Repeats with other seeds: {escaped(repeat)}."
    if repeat is None:
        return (
            "Nothing was repeated with other seeds, so nobody knows yet whether the lead is more than noise. "
            "`repeat_best=5` on the same command tells."
        )
    how = "paired by seed" if repeat.paired else "Welch's interval, unpaired"
    note = (
        f"The ± of the difference spans its 95 % confidence interval ({how}); in the table ± is one standard deviation."
    )
    rows = [list(row) for row in repeat.table()]
    return f"**{escaped(repeat.sentence)}**\n\n{table(['setting', 'mean ± sd', 'repeats'], rows)}\n\n{note}"


def _winner_losses(best: FrozenTrial, standing: Standing) -> str:
    changes = loss_changes(best, standing.of(TrialState.COMPLETE))
    if not changes:
        return ""
    return (
        f"Against the median completed trial, the winner's training losses end at {', '.join(map(_change, changes))}."
    )


def _change(change: LossChange) -> str:
    moved = "the same" if abs(change.relative) < _UNCHANGED else f"{change.relative:+.0%}"
    return f"{change.loss} {change.winner:.4g} (median {change.median:.4g}, {moved})"


def _front(standing: Standing) -> str:
    front = standing.pareto
    which = trial_numbers([trial.number for trial in front]).capitalize()
    return (
        f"{len(front)} trials form the Pareto front: none of the {len(standing.ranked)} completed ones beats them in "
        f"one objective without losing in another. {which}; the command of each stands in `best.yaml`."
    )


def _how_many(standing: Standing) -> str:
    counts = standing.counts()
    names = ("completed", "pruned", "failed", "running", "waiting")
    states = ", ".join(f"{counts[name]} {name}" for name in names if counts[name] or name == "completed")
    text = f"{counts['finished']} trials finished. Of all {counts['all']}: {states}."
    infinite = [trial.number for trial in standing.of(TrialState.COMPLETE) if diverged(trial)]
    return f"{text} Completed at infinity, and not ranked: {trial_numbers(infinite)}." if infinite else text


def _time(standing: Standing) -> str:
    spent = time_spent(standing)
    text = f"All trials together took {duration(spent.total)} of training."
    if spent.saved is None or spent.typical is None or not standing.of(TrialState.PRUNED):
        return text
    return (
        f"{text} Pruning saved about {duration(spent.saved)}, if each pruned trial had otherwise taken the "
        f"{duration(spent.typical)} of the median completed one."
    )
