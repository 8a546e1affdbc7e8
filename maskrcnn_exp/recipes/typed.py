"""Commands as a user can copy them into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_exp.sweep.words import value_text

__all__ = ["command_line", "path_word"]


def command_line(command: str, words: Sequence[str]) -> str:
    """Return the line to type. Brackets, spaces and quotes are a shell's own: zsh takes `x=[1]` for a pattern."""
    return shlex.join(["python", "-m", "maskrcnn_exp", command, *words])


def path_word(key: str, path: Path) -> str:
    """Return `key=PATH` as Hydra reads it: a comma or a bracket in a folder's name would be a list's."""
    return f"{key}={value_text(str(path))}"
