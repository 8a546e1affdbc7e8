"""The sections of a study's report, each a text in Markdown."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.compare.repeat_stats import RepeatVerdict
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.prescriptions import command as prescribed_command
from maskrcnn_exp.diagnose.sources import curves_at
from maskrcnn_exp.diagnose.verdict import Verdict
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record.tables import duration
from maskrcnn_exp.sweep.importance import Importance, importances
from maskrcnn_exp.sweep.insight import (
    ExplosionRegion,
    LossChange,
    diverged,
    explosion_regions,
    final_losses,
    loss_changes,
    time_spent,
)
from maskrcnn_exp.sweep.markdown import code, escaped, table, trial_numbers
from maskrcnn_exp.sweep.standing import ReasonCount, Standing
from maskrcnn_exp.sweep.trial_text import (
    distribution_text,
    number_text,
    run_folder,
    seconds_of,
    train_command,
    value_text,
)

__all__ = ["Facts", "sections"]

_BEST_TRIALS: Final = 10  # rows of the table
_PARETO_TRIALS: Final = 20
_UNCHANGED: Final = 0.02  # a loss that moved less than this is the same


@dataclass(frozen=True)
class Facts:
    standing: Standing
    importances: list[Importance]
    regions: dict[str, tuple[ExplosionRegion, ...]]  # by numeric parameter
    fault: tuple[Verdict, Curves] | None = None  # what the diagnosis finds first in the winner, and its record

    @classmethod
    def of(cls, study: optuna.Study, folder: Path) -> Facts:
        standing = Standing.read(study, folder)
        numeric = [name for name, values in standing.space.items() if not isinstance(values, CategoricalDistribution)]
        regions = {name: explosion_regions(standing.trials, name) for name in numeric}
        return cls(standing, importances(study, standing), regions, _first_fault(standing))

    @property
    def tried(self) -> list[str]:
        """Parameters that a finished trial has, in the order of the space."""
        return [name for name in self.standing.space if any(name in t.params for t in self.standing.finished)]

    @property
    def with_losses(self) -> list[str]:
        """Of them, those over which losses can be drawn."""
        known = [trial for trial in self.standing.finished if final_losses(trial)]
        return [name for name in self.tried if any(name in trial.params for trial in known)]


def _first_fault(standing: Standing) -> tuple[Verdict, Curves] | None:
    """Diagnose the winner; None without one, without a fault, or where its record is not at hand."""
    if standing.best is None:
        return None
    try:
        curves = curves_at(run_folder(standing.best, standing.folder))
    except DataError:
        return None
    faults = diagnose(curves).faults
    return (faults[0], curves) if faults else None


def sections(facts: Facts, command: str, repeat: RepeatVerdict | str | None, pictures: dict[str, str]) -> list[str]:
    """Return the report's sections in their order; empty ones are to be left out.

    Args:
        facts: Of the study.
        command: Prefix of a training.
        repeat: As `write_report` takes it.
        pictures: Path of each relative to the report, by what it shows.
    """
    return [
        _title(facts.standing),
        _searched(facts.standing),
        _result(facts, command, repeat),
        _diagnosis(facts, pictures),
        *_early_ends(facts),
        _history(pictures),
        _importance(facts, pictures),
        *_parameters(facts, pictures),
        *_table(facts),
    ]


def _title(standing: Standing) -> str:
    return f"# Study {escaped(standing.name)}"


def _searched(standing: Standing) -> str:
    goals = "; ".join(
        f"**{escaped(metric)}**, {'more is better' if up else 'less is better'}"
        for metric, up in zip(standing.metrics, standing.maximize, strict=True)
    )
    rows = [[code(name), escaped(distribution_text(values))] for name, values in standing.space.items()]
    space = table(["parameter", "values"], rows) if rows else "No parameter is known yet."
    fixed = f"Every trial shares {' '.join(code(word) for word in standing.fixed)}." if standing.fixed else ""
    return "\n\n".join(part for part in ("## What was searched", f"Objective: {goals}.", space, fixed) if part)


def _result(facts: Facts, command: str, repeat: RepeatVerdict | str | None) -> str:
    standing = facts.standing
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


def _diagnosis(facts: Facts, pictures: dict[str, str]) -> str:
    if facts.fault is None:
        return ""
    verdict, curves = facts.fault
    parts = ["## What is wrong with the winner", f"**{verdict.severity}**: {escaped(verdict.says)}"]
    if verdict.prescription is not None:
        typed = prescribed_command(verdict.prescription, curves.facts.overrides)
        parts.append(f"```sh\n{typed}\n```\n\n{escaped(verdict.prescription.why)}")
    return "\n\n".join([*parts, _picture("diagnosis", pictures)]).rstrip()


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


def _early_ends(facts: Facts) -> list[str]:
    reasons = facts.standing.reasons()
    if not reasons:
        return []
    rows = [[str(len(row.trials)), row.state, _reason(row), trial_numbers(row.trials)] for row in reasons]
    early = table(["trials", "state", "reason", "which"], rows)
    return [f"## Why trials ended early\n\n{early}", _explosions(facts)]


def _reason(row: ReasonCount) -> str:
    return f"such as: {escaped(row.example)}" if row.differ else escaped(row.example)


def _explosions(facts: Facts) -> str:
    if not any(diverged(trial) for trial in facts.standing.finished):
        return ""
    regions = [region for found in facts.regions.values() for region in found]
    if not regions:
        return "Trials diverged, but at no end of a parameter's range more than elsewhere."
    regions.sort(key=lambda region: (region.trials - 2 * region.diverged, region.parameter))
    lines = "\n".join(f"- {escaped(region.sentence)}" for region in regions)
    return f"Where training explodes:\n\n{lines}"


def _history(pictures: dict[str, str]) -> str:
    if not pictures:
        missing = importlib.util.find_spec("matplotlib") is None
        return "Pictures need matplotlib: `pip install matplotlib`." if missing else ""
    return f"## History\n\n{_picture('history', pictures)}"


def _importance(facts: Facts, pictures: dict[str, str]) -> str:
    parts = ["## Which parameter mattered"]
    for row in facts.importances:
        if row.shares:
            shares = ", ".join(f"{code(name)} {share:.0%}" for name, share in row.shares.items())
            parts.append(f"Of the differences in {escaped(row.metric)} ({row.method}): {shares}.")
        else:
            parts.append(f"Not known for {escaped(row.metric)}: {escaped(row.problem)}.")
    parts.append(_picture("importance", pictures))
    return "\n\n".join(part for part in parts if part)


def _parameters(facts: Facts, pictures: dict[str, str]) -> list[str]:
    sections = []
    what = facts.standing.metrics[0] if facts.standing.is_single else "Objectives"
    for name in facts.tried if pictures else []:
        parts = [f"## {escaped(what)} over {escaped(name)}", _picture(f"slice {name}", pictures)]
        if name in facts.with_losses:
            parts.append(f"The five training losses in each trial's last epoch, over {code(name)}:")
            parts.append(_picture(f"losses {name}", pictures))
        sections.append("\n\n".join(part for part in parts if part))
    if "pareto" in pictures:
        sections.insert(0, f"## Pareto front\n\n{_picture('pareto', pictures)}")
    return sections


def _table(facts: Facts) -> list[str]:
    standing = facts.standing
    if not standing.ranked:
        return []
    if standing.is_single:
        shown, title = standing.ranked[:_BEST_TRIALS], f"## The best {min(_BEST_TRIALS, len(standing.ranked))} trials"
    else:
        shown, title = standing.pareto[:_PARETO_TRIALS], "## The trials of the Pareto front"
    losses = [loss for loss in LOSSES if any(loss in final_losses(trial) for trial in shown)]
    names = [name for name in standing.space if any(name in trial.params for trial in shown)]
    head = ["trial", *map(escaped, standing.metrics), *map(code, names), *losses, "minutes"]
    rows = [
        [
            str(trial.number),
            *map(value_text, trial.values),
            *(escaped(number_text(trial.params[name])) if name in trial.params else "" for name in names),
            *(f"{final:.4g}" if (final := final_losses(trial).get(loss)) is not None else "" for loss in losses),
            f"{seconds_of(trial) / 60:.1f}",
        ]
        for trial in shown
    ]
    note = "Losses are training losses, mean of the last epoch." if losses else ""
    return [title, note, table(head, rows)]


def _picture(what: str, pictures: dict[str, str]) -> str:
    return f"![{escaped(what)}]({pictures[what]})" if what in pictures else ""
