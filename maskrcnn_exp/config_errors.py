"""What Hydra and OmegaConf say of a command's words, for a user: one message, with the nearest word that there is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from maskrcnn_exp.config_names import choices, choices_with, did_you_mean, groups, known_keys
from maskrcnn_exp.errors import ConfigError

__all__ = ["explain", "refuse_strange_words"]

_SOME: Final = 8  # keys of a group that are shown


def explain(error: Exception) -> ConfigError:
    """Return a one-message error for what Hydra or OmegaConf says, with the nearest known word for a typo."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__
    text = "\n".join(texts)
    told = _unknown_key(text) or _unknown_choice(text) or _wrong_value(text) or _no_equals(text)
    return ConfigError(told or texts[0].strip())


def _unknown_key(text: str) -> str | None:
    full = re.search(r"full_key: (\S+)", text) or re.search(r"Could not override '([^']+)'", text)
    if full is None or not re.search(
        r"Key '[^']+' (is not in struct|not in '[^']+')|No match in the defaults list", text
    ):
        return None
    word = full.group(1)
    if "/" in word or "." not in word:  # a group is typed without a dot
        near = did_you_mean(word, [*groups(), *known_keys()])
        return f"unknown config group or key {word}.{near} Groups: {', '.join(groups())}."
    if choices := choices_with(word):
        return f"{word} is a key of {choices}, which is not the choice here: give it, too."
    return f"unknown key {word}.{did_you_mean(word, known_keys())} `train --cfg job` prints all keys."


def _unknown_choice(text: str) -> str | None:
    match = re.search(r"Could not (?:find|load) '?([^'\n]+)'?", text)
    if match is None:
        return None
    group, _, choice = match.group(1).rpartition("/")
    known = choices(group)
    return f"{group}={choice}: no such choice.{did_you_mean(choice, known)} {group} has: {', '.join(known)}."


def _wrong_value(text: str) -> str | None:
    match = re.search(r"(Value '[^\n]*' [^\n]*(?:could not be|is not a valid)[^\n]*)", text)
    match = match or re.search(r"([^\n]*Missing mandatory value[^\n]*)", text)
    if match is None:
        return None
    full = re.search(r"full_key: (\S+)", text)
    return f"{full.group(1)}: {match.group(1).strip()}." if full else match.group(1).strip()


def _no_equals(text: str) -> str | None:
    match = re.search(r"Error parsing override '([^'=]*)'\s*missing EQUAL", text)
    return f"{match.group(1)}: a word without its value. Type {match.group(1)}=VALUE." if match else None


def refuse_strange_words(words: Sequence[str]) -> None:
    """Refuse what Hydra leaves to Python or to argparse: a number for a group, as in lr=0.1, and flags of other tools.

    Raises:
        ConfigError: names the first of them.
    """
    for flag in _unknown_flags(words):
        raise ConfigError(
            f"{flag}: there is no such flag. Settings are typed without dashes, as key=value.{_meant(flag)} "
            "`train --help` lists them."
        )
    for word in words:
        group, _, value = word.partition("=")
        absent = value.lower() == "null"
        if (absent or _is_number(value)) and group in groups():  # which looks at the disk, and last
            says = f"to leave a config group out, type ~{group}." if absent else _group_says(group)
            raise ConfigError(f"{word}: {says}")


def _meant(flag: str) -> str:
    name, _, value = flag.lstrip("-").partition("=")
    key = name.replace("-", "_")
    if key in groups():
        return f" {key}: {_group_says(key)}"
    near = did_you_mean(key, known_keys())
    return f"{near.removesuffix('?')}={value or 'VALUE'}?" if near else ""


def _group_says(group: str) -> str:
    keys = [key for key in known_keys() if key.startswith(f"{group.replace('/', '.')}.")]
    more = ", …" if len(keys) > _SOME else ""
    return (
        f"it is a config group, whose choices are {', '.join(choices(group))}. "
        f"A number belongs to one of its keys: {', '.join(keys[:_SOME])}{more}."
    )


def _unknown_flags(words: Sequence[str]) -> list[str]:
    if not any(word.startswith("-") for word in words):
        return []  # Hydra's parser need not be asked
    from hydra._internal.utils import get_args_parser

    unknown: list[str] = get_args_parser().parse_known_args(list(words))[1]
    return [word for word in unknown if word.startswith("-")]


def _is_number(value: str) -> bool:
    """Say whether a group's value, or one of several, is a number or a truth."""
    return any(re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?|true|false", one.strip(), re.I) for one in value.split(","))
