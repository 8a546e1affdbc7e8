"""From words and configured parameters to what Optuna searches, and from a trial's parameters back to words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.override_keys import bare_key
from maskrcnn_exp.sweep.distributions import distribution_of, legacy_distribution, steps_of
from maskrcnn_exp.sweep.words import contains_sweep, parse_word, value_text

__all__ = ["SearchSpace", "grid_choices", "parse_space", "trial_words"]


@dataclass(frozen=True)
class SearchSpace:
    """What a study searches, and what all its trials share."""

    distributions: dict[str, BaseDistribution]  # by key as typed, with its leading + and its @package; in order
    fixed: tuple[str, ...]  # words that every trial gets, as typed
    warnings: tuple[str, ...]  # where the search differs from hydra-optuna-sweeper's, a sentence each


def parse_space(
    words: Sequence[str],
    params: Mapping[str, object] | None = None,
    search_space: Mapping[str, Any] | None = None,
    *,
    group_choices: Callable[[str], list[str]] | None = None,
) -> SearchSpace:
    """Read the search space.

    A word wins over an entry of `params` or `search_space` with the same key, whether it searches or fixes it.

    Args:
        words: Command-line words in Hydra's grammar: `a=1,2`, `b=tag(log, interval(0.1, 30))`, `c=fixed`, `~d`.
        params: `hydra.sweeper.params`: by key, a string in the same grammar or a plain value.
        search_space: `hydra.sweeper.search_space` of Hydra 1.1, {type, low, high, choices, step, log} by key; read
            where `params` is None.
        group_choices: The choices of a configuration group, for `glob(*)`.

    Raises:
        ConfigError: lists every word that cannot be searched.
    """
    problems: list[str] = []
    warnings: list[str] = []
    typed = _parse_all(words, problems)
    typed_keys = {bare_key(override.get_key_element()) for override in typed}
    configured = _parse_all(_param_words(params or {}, problems), problems)
    configured = [override for override in configured if bare_key(override.get_key_element()) not in typed_keys]
    overrides = [*configured, *typed]
    problems += _repeated(overrides)

    distributions = _legacy(search_space, params is not None, typed_keys, problems, warnings)
    fixed: list[str] = []
    for override in overrides:
        try:
            if not _is_search(override):
                fixed.append(override.input_line)
                continue
            distributions[override.get_key_element()] = distribution_of(override, group_choices, warnings)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError.from_problems(problems)
    return SearchSpace(distributions, tuple(fixed), tuple(warnings))


def trial_words(space: SearchSpace, params: Mapping[str, object]) -> list[str]:
    """Return the words of one trial: the fixed ones, then `key=value` for each parameter, quoted for Hydra.

    `params` may lack parameters of the space (they keep their configured value) and may have more (those of a custom
    search space); the space's own come first, in its order.

    Raises:
        ConfigError: a parameter is also fixed, or has a value that no override can express.
    """
    fixed = {bare_key(word): word for word in space.fixed if not word.startswith("~")}
    twice = [(key, fixed[bare_key(key)]) for key in params if bare_key(key) in fixed]
    if twice:
        key, word = twice[0]
        raise ConfigError(f"{key} is searched, and {word} fixes it for every trial. Take one of them out.")
    ordered = [key for key in space.distributions if key in params]
    ordered += [key for key in params if key not in space.distributions]
    return [*space.fixed, *(f"{key}={value_text(params[key])}" for key in ordered)]


def grid_choices(distribution: BaseDistribution) -> list[object]:
    """Return the values of a finite distribution, from the lowest, or choices in their order.

    Raises:
        ConfigError: the distribution is continuous.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, FloatDistribution):
        if distribution.step is not None:
            return list(steps_of(distribution.low, distribution.high, distribution.step))
        if distribution.single():
            return [distribution.low]
        raise ConfigError(
            f"the grid sampler needs a finite set of values, got an interval from {distribution.low} to "
            f"{distribution.high}. Use choice(…) or range(start, stop, step), or hydra/sweeper/sampler=tpe."
        )
    raise ConfigError(f"the grid sampler cannot list a {type(distribution).__name__}.")


def _parse_all(words: Iterable[str], problems: list[str]) -> list[Any]:
    overrides = []
    for word in words:
        try:
            overrides.append(parse_word(word))
        except ConfigError as error:
            problems.append(str(error))
    return overrides


def _param_words(params: Mapping[str, object], problems: list[str]) -> list[str]:
    words = []
    for key, value in params.items():
        if isinstance(value, Mapping):
            problems.append(
                f"hydra.sweeper.params.{key} is a mapping; a key is written with its dots, "
                f"as in {key}.{next(iter(value), 'name')}: choice(1, 2)."
            )
        elif str(key).startswith("~") and value in (None, ""):
            words.append(str(key))
        else:
            words.append(f"{key}={value if isinstance(value, str) else value_text(value)}")
    return words


def _is_search(override: Any) -> bool:
    """Return whether the word searches; one that sweeps where no search can be is refused.

    Raises:
        ConfigError: a sweep over Hydra's own settings, or inside a list or dict.
    """
    if override.is_delete():
        return False
    if not override.is_sweep_override():
        if contains_sweep(override.value()):
            raise ConfigError(
                f"{override.input_line}: a sweep inside a list or a dict cannot be searched. "
                "Give the inner key its own word, or choose between whole lists: key=[1,2],[3,4]."
            )
        return False
    if override.is_hydra_override():
        raise ConfigError(f"{override.input_line}: Hydra's own settings cannot be searched. Give one value.")
    return True


def _repeated(overrides: Sequence[Any]) -> list[str]:
    """Name the keys that are searched and given again; two fixed words are left to Hydra, as in a single run."""
    changing = [override for override in overrides if not override.is_delete()]
    counts = Counter(bare_key(override.get_key_element()) for override in changing)
    searched = {bare_key(override.get_key_element()) for override in changing if override.is_sweep_override()}
    lines = []
    for key in [key for key, count in counts.items() if count > 1 and key in searched]:
        same = [override.input_line for override in changing if bare_key(override.get_key_element()) == key]
        lines.append(f"{key} is given {len(same)} times: {'  '.join(same)}. Keep one of them.")
    return lines


def _legacy(
    search_space: Mapping[str, Any] | None,
    has_params: bool,
    typed_keys: set[str],
    problems: list[str],
    warnings: list[str],
) -> dict[str, BaseDistribution]:
    if not search_space:
        return {}
    if has_params:
        warnings.append("hydra.sweeper.search_space is ignored, because hydra.sweeper.params is given.")
        return {}
    warnings.append(
        "hydra.sweeper.search_space is deprecated: move it to hydra.sweeper.params, such as "
        f"{next(iter(search_space))}: interval(LOW, HIGH)."
    )
    distributions = {}
    for key, entry in search_space.items():
        try:
            if bare_key(str(key)) not in typed_keys:
                distributions[str(key)] = legacy_distribution(str(key), entry)
        except ConfigError as error:
            problems.append(str(error))
    return distributions
