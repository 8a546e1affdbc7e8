"""Every problem of a command's words at once, where Hydra stops at the first."""

from __future__ import annotations

from collections.abc import Sequence

from maskrcnn_exp.compose import choices_by_group, compose, to_train_config
from maskrcnn_exp.config_check import check_config
from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.override_keys import bare_key

__all__ = ["all_problems"]


def all_problems(words: Sequence[str], first: ConfigError) -> ConfigError:
    """Return one error for all that is wrong with the overrides of a single training.

    Words are tried in halves, halves of the halves, … together with the choices of groups, which decide which keys
    there are. What is left without the wrong ones is checked for its values.

    Args:
        first: What Hydra said; returned where it cannot be broken down, as for a sweep or a folder of the user's.
    """
    if any(word.startswith("-") for word in words):
        return first
    groups = choices_by_group()
    choices = [word for word in words if bare_key(word) in groups]
    wrong: dict[str, str] = {}
    for word in choices:
        wrong |= _wrong([word], [])
    context = [word for word in choices if word not in wrong]
    wrong |= _wrong([word for word in words if word not in choices], context)
    problems = [wrong[word] for word in dict.fromkeys(words) if word in wrong]
    if not problems:
        return first
    return ConfigError.from_problems([*problems, *_odd_values([word for word in words if word not in wrong])])


def _wrong(words: Sequence[str], context: Sequence[str]) -> dict[str, str]:
    """Return the words that do not compose with `context`, and why."""
    if not words:
        return {}
    try:
        compose([*context, *words])
    except ConfigError as error:
        if len(words) == 1:
            return {words[0]: str(error)}
        middle = len(words) // 2
        return _wrong(words[:middle], context) | _wrong(words[middle:], context)
    return {}


def _odd_values(words: Sequence[str]) -> list[str]:
    try:
        return check_config(to_train_config(compose(words)))
    except ConfigError as error:
        return [str(error)]
