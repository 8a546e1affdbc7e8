"""Sentences: which setting is best, by how much, whether that is more than noise, and what it did to the losses."""

from __future__ import annotations

import math
from typing import Final

from maskrcnn_exp.compare.groups import Comparison, Group
from maskrcnn_exp.compare.repeat_stats import metric_unit
from maskrcnn_exp.compare.runs import MASK_AP
from maskrcnn_exp.compare.words import BOX_AP, NAMED, change_words, digits, mean_and_spread, metric_name
from maskrcnn_exp.diagnose.prescriptions import train_words
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.override_keys import command_line
from maskrcnn_exp.record import tags

__all__ = ["conclusion"]

_SEEDS: Final = "seed=1,2,3"
_NOTICED: Final = 0.02  # relative change of a loss that is worth a word
_CRASHES: Final = 3  # named


def conclusion(comparison: Comparison) -> list[str]:
    """Return the sentences, each a line or more."""
    lines = _crashes(comparison)
    best, other = comparison.best, comparison.baseline
    if math.isnan(best.mean_best(comparison.metric)):
        return [*lines, f"No run has a value of {comparison.metric} yet."]
    if len(comparison.groups) == 1:
        return [*lines, _one_setting(comparison)]
    if best is other:
        other = comparison.groups[1]
        if math.isnan(other.mean_best(comparison.metric)):
            return [*lines, f"Only {best.name} has a value of {comparison.metric}."]
        lines.append(f"Nothing beats {best.name}, which was named first; the next best is {other.name}.")
    elif math.isnan(other.mean_best(comparison.metric)):
        other = comparison.groups[1]
    told = (_lead(comparison, best, other), _losses(best, other), _noise(comparison, best, other))
    return [*lines, *(line for line in told if line)]


def _crashes(comparison: Comparison) -> list[str]:
    crashed = [run for group in comparison.groups for run in group.runs if run.crash]
    lines = [f"{run.name} {run.state}." for run in crashed[:_CRASHES]]
    return lines + ([f"{len(crashed) - _CRASHES} more diverged."] if len(crashed) > _CRASHES else [])


def _one_setting(comparison: Comparison) -> str:
    group = comparison.best
    if len(group.runs) == 1:
        return "One run: nothing to compare it with."
    values = mean_and_spread(group, comparison.metric)
    return f"{len(group.runs)} runs of one setting: {metric_name(comparison.metric)} {values}."


def _lead(comparison: Comparison, best: Group, other: Group) -> str:
    words = change_words(best, other)
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    what = f" ({', '.join(words[:NAMED])}{more})" if words else ""
    scale, unit = metric_unit(comparison.metric)
    verdict = comparison.verdict(best, other)
    half, outcome, source = verdict.half_width, str(verdict.outcome), ""
    if math.isnan(half):
        half = comparison.half_width_by_noise(best, other)
        outcome = "real" if abs(verdict.difference) > half else "not proven"
        source = ", by the noise of the settings that were repeated"
    amount = _amount(verdict.difference * scale, "+")
    sentence = f"{best.name}{what}: {metric_name(comparison.metric)} {amount}"
    if math.isnan(half):
        return f"{sentence}{_unit(unit)} against {other.name}, one run each."
    return f"{sentence} ± {_amount(half * scale)}{_unit(unit)} against {other.name}{source}: {outcome}."


def _losses(best: Group, other: Group) -> str:
    """Say where the difference comes from: masks beside boxes, and the losses that moved, most first."""
    moved = []
    for loss in LOSSES:
        now, before = (group.mean_last(tags.val_loss_tag(loss)) for group in (best, other))
        if before > 0 and abs(now / before - 1) >= _NOTICED:
            moved.append((abs(now / before - 1), f"{loss} {before:.3g} → {now:.3g} ({now / before - 1:+.0%})"))
    told = ", ".join(text for _, text in sorted(moved, reverse=True))
    gains = [100 * (best.mean_best(tag) - other.mean_best(tag)) for tag in (MASK_AP, BOX_AP)]
    beside = "" if any(map(math.isnan, gains)) else f"Masks {gains[0]:+.1f}, boxes {gains[1]:+.1f} points. "
    if told:
        return f"{beside}Validation losses of the last epoch: {told}."
    return f"{beside}No validation loss of the last epoch moved by {_NOTICED:.0%}." if beside else ""


def _noise(comparison: Comparison, best: Group, other: Group) -> str:
    """Say what is known of the noise between seeds, and how to learn more where it is nothing."""
    if comparison.noise is not None:
        spread, degrees = comparison.noise
        scale, unit = metric_unit(comparison.metric)
        return (
            f"Noise between seeds: standard deviation {_amount(spread * scale)}{_unit(unit)} "
            f"({degrees} degrees of freedom)."
        )
    count = len(comparison.groups)
    luck = f"the best of {count} settings is partly luck" if count > 2 else "one run says nothing about noise"
    commands = [_repeat_command(group) for group in (best, other) if group.runs[0].settings]
    typed = "".join(f"\n   {command}" for command in commands)
    return f"Nothing was repeated with other seeds, and {luck}." + (f" To know:{typed}" if typed else "")


def _repeat_command(group: Group) -> str:
    words = train_words(group.runs[0].overrides, (_SEEDS,))
    return command_line("train", ["--multirun", *words])


def _amount(value: float, sign: str = "") -> str:
    return f"{value:{sign}.{digits(value)}f}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
