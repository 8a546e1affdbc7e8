"""The sections of a study's report, each a text in Markdown."""

from __future__ import annotations

import importlib.util
from typing import Final

from maskrcnn_exp.compare.repeat_stats import RepeatVerdict
from maskrcnn_exp.diagnose.prescriptions import command as prescribed_command
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.sweep.insight import diverged, final_losses
from maskrcnn_exp.sweep.markdown import code, escaped, table, trial_numbers
from maskrcnn_exp.sweep.report_facts import Facts
from maskrcnn_exp.sweep.report_result import result
from maskrcnn_exp.sweep.standing import ReasonCount, Standing
from maskrcnn_exp.sweep.trial_text import distribution_text, number_text, seconds_of, value_text

__all__ = ["sections"]

_BEST_TRIALS: Final = 10  # rows of the table
_PARETO_TRIALS: Final = 20


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
        result(facts.standing, command, repeat),
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


def _diagnosis(facts: Facts, pictures: dict[str, str]) -> str:
    if facts.fault is None:
        return ""
    verdict, curves = facts.fault
    parts = ["## What is wrong with the winner", f"**{verdict.severity}**: {escaped(verdict.says)}"]
    if verdict.prescription is not None:
        typed = prescribed_command(verdict.prescription, curves.facts.overrides)
        parts.append(f"```sh\n{typed}\n```\n\n{escaped(verdict.prescription.why)}")
    return "\n\n".join([*parts, _picture("diagnosis", pictures)]).rstrip()


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
