"""One sweep of Hydra's grammar as one distribution of Optuna's."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep.words import Choice, parse_word, stored_choice, value_text

__all__ = ["distribution_of", "legacy_distribution", "steps_of"]

GroupChoices = Callable[[str], list[str]]

_CALL: Final = re.compile(r"\b(?:interval|range)\s*\(([^()]*)\)")
_WHOLE_ARGUMENT: Final = re.compile(r"\s*(?:\w+\s*=\s*)?[+-]?\d[\d_]*\s*")
_LEGACY_KEYS: Final = frozenset({"type", "low", "high", "choices", "step", "log"})


def distribution_of(override: Any, group_choices: GroupChoices | None, warnings: list[str]) -> BaseDistribution:
    """Return the distribution of a parsed word that sweeps; append to `warnings` where the peer would search otherwise.

    Raises:
        ConfigError: nothing sensible can be searched; the message begins with the word.
    """
    try:
        if override.is_interval_sweep():
            return _interval(override, warnings)
        if override.is_range_sweep():
            return _range(override, warnings)
        return _choice(override, group_choices, warnings)
    except ConfigError as error:
        raise ConfigError(f"{override.input_line}: {error}") from error


def steps_of(low: float, high: float, step: float) -> list[float]:
    """Return low, low + step, … up to high, each the float nearest to the decimal sum: 0.1 + 0.2 gives 0.3."""
    first, width = Fraction(str(low)), Fraction(str(step))
    count = math.floor((Fraction(str(high)) - first) / width) + 1
    return [float(first + index * width) for index in range(count)]


def legacy_distribution(key: str, entry: object) -> BaseDistribution:
    """Return the distribution of an entry of `hydra.sweeper.search_space`; both ends belong to it, as in Optuna.

    Raises:
        ConfigError: a key is missing, unknown or out of range.
    """
    where = f"hydra.sweeper.search_space.{key}"
    if not isinstance(entry, Mapping) or not set(entry) <= _LEGACY_KEYS or "type" not in entry:
        raise ConfigError(
            f"{where} must be a mapping with type and some of low, high, choices, step, log; got {entry}."
        )
    kind = getattr(entry["type"], "name", str(entry["type"]))
    needed = {"categorical": ("choices",), "int": ("low", "high"), "float": ("low", "high")}.get(kind)
    if needed is None:
        raise ConfigError(f"{where}.type={kind} must be one of int, float, categorical.")
    missing = [name for name in needed if entry.get(name) is None]
    if missing:
        raise ConfigError(f"{where} of type {kind} needs {' and '.join(missing)}.")
    try:
        return _legacy(kind, entry)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _legacy(kind: str, entry: Mapping[str, Any]) -> BaseDistribution:
    log, step = bool(entry.get("log")), entry.get("step")
    if kind == "categorical":
        choices = [
            value_text(item) if isinstance(item, list | dict) else stored_choice(item) for item in entry["choices"]
        ]
        return CategoricalDistribution(_distinct(choices, []))
    if kind == "int":
        return IntDistribution(int(entry["low"]), int(entry["high"]), log=log, step=1 if step is None else int(step))
    return FloatDistribution(float(entry["low"]), float(entry["high"]), log=log, step=step)


def _choice(override: Any, group_choices: GroupChoices | None, warnings: list[str]) -> BaseDistribution:
    sweep = override.value()
    if not hasattr(sweep, "list"):
        return CategoricalDistribution(_globbed(override, sweep, group_choices))
    if sweep.tags:
        raise ConfigError(
            f"choices take no tag, got {', '.join(sorted(sweep.tags))}. They have no order; "
            "tag(log, …) goes around interval(…) or range(…)."
        )
    # In the order as typed even under shuffle(): the space must be the same after a resume, and samplers draw anyway.
    repeated: list[Choice] = []
    choices = _distinct([stored_choice(element) for element in sweep.list], repeated)
    if repeated:
        names = ", ".join(value_text(choice) for choice in repeated)
        warnings.append(f"{override.input_line} names {names} more than once, which is searched as one choice.")
    return CategoricalDistribution(choices)


def _globbed(override: Any, glob: Any, group_choices: GroupChoices | None) -> list[str]:
    if group_choices is None:
        raise ConfigError("glob(…) works for configuration groups only. List the choices: choice(a, b).")
    known = group_choices(override.key_or_group)
    chosen: list[str] = glob.filter(known)
    if not chosen:
        raise ConfigError(f"no choice of {override.key_or_group} matches. It has: {', '.join(known) or 'none'}.")
    return chosen


def _distinct(choices: Sequence[Choice], repeated: list[Choice]) -> list[Choice]:
    """Return the choices without repeats, which go into `repeated`; refuse those that only Optuna takes for equal."""
    kept: list[Choice] = []
    for choice in choices:
        twin = next((other for other in kept if other == choice or (choice != choice and other != other)), kept)
        if twin is kept:
            kept.append(choice)
        elif type(twin) is type(choice):
            repeated.append(choice)
        else:
            raise ConfigError(
                f"the study cannot tell the choices {value_text(twin)} and {value_text(choice)} apart. "
                "Keep one of them, or put quotes around one to make it a string."
            )
    return kept


def _interval(override: Any, warnings: list[str]) -> BaseDistribution:
    sweep, text = override.value(), override.get_value_string()
    low, high = sweep.start, sweep.end
    log = _is_log(sweep, text)
    whole = isinstance(low, int) and isinstance(high, int)
    _check_cast(text, whole)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"the ends must be finite numbers, got {low} and {high}.")
    if low >= high:
        what = "empty" if low == high else "inverted"
        advice = f"Write {low} for this one value." if low == high else f"Swap its ends: interval({high}, {low})."
        raise ConfigError(f"the interval is {what}, low must be < high, got {low} and {high}. {advice}")
    if log and low <= 0:
        raise ConfigError(f"a log scale needs low > 0, got {low}. Raise it, or leave tag(log, …) out.")
    if whole:
        return IntDistribution(low, high, log=log)
    call = _CALL.search(text)
    if call and "float" not in text and all(_WHOLE_ARGUMENT.fullmatch(part) for part in call.group(1).split(",")):
        warnings.append(f"{override.input_line} searches real numbers; for whole ones write int(interval(…)).")
    return FloatDistribution(low, high, log=log)


def _range(override: Any, warnings: list[str]) -> BaseDistribution:
    sweep, text = override.value(), override.get_value_string()
    start, stop, step = sweep.start, sweep.stop, sweep.step
    log = _is_log(sweep, text)
    whole = all(isinstance(number, int) for number in (start, stop, step))
    _check_cast(text, whole)
    first, last = _range_ends(start, stop, step)
    low, high = min(first, last), max(first, last)
    if sweep.shuffle:
        return CategoricalDistribution(
            list(range(start, stop, step)) if whole else steps_of(low, high, float(abs(step)))
        )
    _warn_of_range(override.input_line, sweep, log, warnings)
    if log:
        if not whole or abs(step) != 1 or low < 1:
            raise ConfigError(
                "a log scale over a range needs whole numbers from 1 on in steps of 1, "
                f"got range({start}, {stop}, {step}). Use tag(log, interval(…)), or leave tag(log, …) out."
            )
        return IntDistribution(int(low), int(high), log=True)
    if whole:
        return IntDistribution(int(low), int(high), step=abs(step))
    return FloatDistribution(low, high, step=float(abs(step)))


def _range_ends(start: float, stop: float, step: float) -> tuple[float, float]:
    """Return the first and the last value of a range, stop left out; exact decimals, as binary 0.7 * 10 < 7."""
    if not all(math.isfinite(number) for number in (start, stop, step)) or step == 0:
        raise ConfigError(f"start, stop and step must be finite and the step not 0, got ({start}, {stop}, {step}).")
    first, width = Fraction(str(start)), Fraction(str(step))
    count = math.ceil((Fraction(str(stop)) - first) / width)
    if count <= 0:
        raise ConfigError(
            f"the range has no value: from {start} to before {stop} in steps of {step}. "
            "Swap start and stop, or change the sign of the step."
        )
    last = first + (count - 1) * width
    if all(isinstance(number, int) for number in (start, stop, step)):
        return int(start), int(last)
    return float(start), float(last)


def _warn_of_range(word: str, sweep: Any, log: bool, warnings: list[str]) -> None:
    if log:
        warnings.append(f"{word} searches on a log scale; hydra-optuna-sweeper ignored the tag of a range.")
    reached = (Fraction(str(sweep.stop)) - Fraction(str(sweep.start))) / Fraction(str(sweep.step))
    if sweep.step > 0 and reached.denominator == 1:
        warnings.append(
            f"{word} ends before {sweep.stop}, as ranges do; hydra-optuna-sweeper would also have tried {sweep.stop}."
        )


def _is_log(sweep: Any, text: str) -> bool:
    """Return whether the sweep is tagged log.

    Raises:
        ConfigError: another tag, or a tag that Hydra loses: int(tag(log, range(1, 9))) has none any more.
    """
    unknown = sorted(sweep.tags - {"log"})
    if unknown:
        raise ConfigError(f"unknown tag {', '.join(unknown)}. The only tag is log: tag(log, interval(0.1, 30)).")
    if not sweep.tags and re.search(r"\blog\b", text):
        raise ConfigError("Hydra drops this tag. Put tag(log, …) outermost, as in tag(log, int(range(1, 9))).")
    return bool(sweep.tags)


def _check_cast(text: str, whole: bool) -> None:
    """Refuse int(interval(0.5, 9)): Hydra cuts the ends off to 0 and 9, and 0 lies outside."""
    call = _CALL.search(text)
    if not whole or call is None:
        return
    inner = parse_word(f"x={call.group(0)}").value()
    ends = (inner.start, inner.end) if hasattr(inner, "end") else (inner.start, inner.stop, inner.step)
    if any(not float(end).is_integer() for end in ends):
        raise ConfigError(f"int(…) needs whole numbers inside, got {call.group(0)}.")
