"""The words of a command: its own keys, and the overrides of the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from maskrcnn_exp.errors import ConfigError

__all__ = ["split_words"]


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
