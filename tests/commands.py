"""The real command in a process of its own, as a shell starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["run_command", "start_command"]

_REPOSITORY = Path(__file__).parents[1]


def run_command(*words: str, cwd: Path, timeout_seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run `maskrcnn-exp WORDS` in the folder `cwd` to its end, whatever its exit code."""
    return subprocess.run(
        _command(words),
        cwd=cwd,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def start_command(*words: str, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    """Start `maskrcnn-exp WORDS` in its own process group, stdout and stderr in one; return at once."""
    return subprocess.Popen(
        _command(words),
        cwd=cwd,
        env=_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _command(words: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "maskrcnn_exp", *words]


def _environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_REPOSITORY), **variables}
