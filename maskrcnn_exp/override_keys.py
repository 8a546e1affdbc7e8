"""The key of a command-line word, without Hydra's parser, which takes a while to load."""

from __future__ import annotations

__all__ = ["bare_key"]


def bare_key(word: str) -> str:
    """Return the key of a word or a parameter without its +, ++ or ~: `+lr.x` and `lr.x` are the same setting."""
    return word.partition("=")[0].lstrip("+~")
