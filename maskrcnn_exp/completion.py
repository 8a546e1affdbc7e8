"""Shell completion. Hydra completes the words of a program; ours has a command before them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

__all__ = ["asks_for_completion", "offered", "with_command"]

_FLAGS: Final = frozenset({"-sc", "--shell-completion"})
_LINE: Final = "COMP_LINE"  # what is typed so far, as the shell tells it


def asks_for_completion(words: Sequence[str]) -> bool:
    return not _FLAGS.isdisjoint(words)


def with_command(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `train` before a flag of Hydra's completion: its script calls the bare program."""
    return ["train", *arguments] if asks_for_completion(arguments[:1]) else list(arguments)


def offered(commands: Sequence[str]) -> str | None:
    """Return what a shell may offer now, or None where Hydra knows; the line is then made one that it can read.

    While the command is typed these are the commands. After `train` Hydra completes groups, choices and keys; after
    any other the shell is left to its files.
    """
    line = os.environ.get(_LINE)
    if line is None:  # the flag installs or uninstalls
        return None
    program, _, rest = line.lstrip().partition(" ")
    command, typed_on, words = rest.lstrip().partition(" ")
    if not typed_on:
        return " ".join(name for name in commands if name.startswith(command))
    if command != "train":
        return ""
    os.environ[_LINE] = f"{program} {words}"
    return None
