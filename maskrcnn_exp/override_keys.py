"""The key of a command-line word, without Hydra's parser, which takes a while to load."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from maskrcnn_exp.errors import ConfigError

__all__ = ["bare_key", "refuse_hydra_words"]


_HYDRAS: Final = re.compile(r"(?:^|[@:])hydra(?:[./@:]|$)")


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
