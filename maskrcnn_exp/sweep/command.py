"""The command line again, as a person would type it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_exp.record.secrets import mask_urls

__all__ = ["single_run_command", "typed_command"]

_SWEEP_FLAGS = ("-m", "--multirun")


def single_run_command(argv: Sequence[str]) -> str:
    """Return what starts one training with the program of `argv`; its words follow."""
    return " ".join(_program(argv))


def typed_command(argv: Sequence[str]) -> str:
    """Return the command of `argv` for a shell, passwords in URLs masked."""
    program = _program(argv)
    words = [word for word in argv[1:] if word != "train"] if program[-1] == "train" else list(argv[1:])
    return mask_urls(" ".join([*program, *map(shlex.quote, words)]))


def _program(argv: Sequence[str]) -> list[str]:
    """`python -m maskrcnn_exp train` for our own, `python FILE` for another Hydra program."""
    path = Path(argv[0])
    if path.name == "__main__.py":
        return ["python", "-m", path.parent.name, "train"]
    if path.suffix == ".py":
        return ["python", shlex.quote(argv[0])]
    return [shlex.quote(path.name), "train"] if path.name == "maskrcnn-exp" else [shlex.quote(argv[0])]
