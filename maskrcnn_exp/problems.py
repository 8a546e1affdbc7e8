"""Every problem of a command's words at once, where Hydra stops at the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from maskrcnn_exp.compose import compose, override, to_train_config
from maskrcnn_exp.config_check import check_config
from maskrcnn_exp.config_names import choices_by_group
from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.override_keys import bare_key

__all__ = ["all_problems"]


def all_problems(words: Sequence[str], first: ConfigError) -> ConfigError:
    """Return one error for all that is wrong with the overrides of a single training.

    Each choice of a group is tried by itself, then each other word on the configuration that the right choices give,
    as they decide which keys there are. What is left without the wrong ones is checked for its values.

    Args:
        first: What Hydra said; returned where it cannot be broken down, as for a sweep or a folder of the user's.
    """
    if any(word.startswith("-") for word in words):
        return first
    if len(words) == 1:  # Hydra said it all, and to compose once more costs a third of a second
        return first
    groups = choices_by_group()
    choices = [word for word in words if bare_key(word) in groups]
    wrong = {word: said for word in choices if (said := _said_of(compose, [word]))}
    config = compose([word for word in choices if word not in wrong])
    for word in words:
        if word not in choices and (said := _said_of(_try, word, config)):
            wrong[word] = said
    problems = [wrong[word] for word in dict.fromkeys(words) if word in wrong]
    if not problems:
        return first
    right = [word for word in words if word not in wrong]
    return ConfigError.from_problems([*problems, *(_odd_values(right) if right else [])])


def _try(word: str, config: Any) -> None:
    if bare_key(word).startswith("hydra"):  # what was composed has none of Hydra's own keys
        compose([word])
    else:
        override(config, word)


def _said_of(tried: Callable[..., object], *arguments: object) -> str | None:
    try:
        tried(*arguments)
    except ConfigError as error:
        return str(error)
    return None


def _odd_values(words: Sequence[str]) -> list[str]:
    try:
        return check_config(to_train_config(compose(words)))
    except ConfigError as error:
        return [str(error)]
