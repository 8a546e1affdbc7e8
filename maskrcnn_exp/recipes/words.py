"""The words of a command: its own keys, and the overrides of the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maskrcnn_exp.errors import ConfigError

__all__ = ["several_of", "split_words", "yes_or_no"]


def split_words(words: Sequence[str], known: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Part `key=value` words into the `known` keys and the overrides."""
    own: dict[str, str] = {}
    overrides: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"{word}: expected key=value.")
        if key in known:
            own[key] = value
        else:
            overrides.append(word)
    return own, overrides


def yes_or_no(own: Mapping[str, str], key: str, default: bool) -> bool:
    """Return what a key says as true or false."""
    text = own.get(key, str(default))
    if text.lower() not in ("true", "false"):
        raise ConfigError(f"{key}={text} must be true or false.")
    return text.lower() == "true"


def several_of(own: Mapping[str, str], key: str, known: Sequence[str]) -> frozenset[str]:
    """Return the names that a key lists with commas between, each one of `known`; its first where the key is absent."""
    text = own.get(key, known[0])
    names = frozenset(text.split(","))
    if unknown := sorted(names - set(known)):
        raise ConfigError(f"{key}={text}: {', '.join(unknown)} is none of {', '.join(known)}.")
    return names
