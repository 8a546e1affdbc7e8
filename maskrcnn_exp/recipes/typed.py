"""Words as a user can copy them into a command."""

from __future__ import annotations

from pathlib import Path

from maskrcnn_exp.sweep.words import value_text

__all__ = ["path_word"]


def path_word(key: str, path: Path) -> str:
    """Return `key=PATH` as Hydra reads it: a comma or a bracket in a folder's name would be a list's."""
    return f"{key}={value_text(str(path))}"
