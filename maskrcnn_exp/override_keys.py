"""Words of a command line, without Hydra's parser, which takes a while to load."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from maskrcnn_exp.errors import ConfigError

__all__ = ["bare_key", "command_line", "refuse_hydra_words"]


_HYDRAS: Final = re.compile(r"(?:^|[@:])hydra(?:[./@:]|$)")


def command_line(command: str, words: Sequence[str]) -> str:
    """Return the line to type. Brackets, spaces and quotes are a shell's own: zsh takes `x=[1]` for a pattern."""
    return shlex.join(["python", "-m", "maskrcnn_exp", command, *words])


def bare_key(word: str) -> str:
    """Return the key of a word or a parameter without its +, ++ or ~: `+lr.x` and `lr.x` are the same setting."""
    return word.partition("=")[0].lstrip("+~")


def refuse_hydra_words(words: Sequence[str]) -> None:
    """Raise a ConfigError where words of a trial change Hydra's own settings: what a storage holds may be a stranger's.

    Hydra would call what they name. Those that the user typed never come this way: each trial has them already.
    """
    for word in words:
        if _HYDRAS.search(bare_key(word)):
            raise ConfigError(
                f"{word!r:.200}: a trial's words cannot set Hydra's own keys. Who wrote it into the study?"
            )
