"""The commands that README and docs show, found in their text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["COMMANDS", "PAGES", "REPOSITORY", "WrittenCommand", "commands_in"]

REPOSITORY: Final = Path(__file__).parents[2]
PAGES: Final = (REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md")))

_OURS: Final = re.compile(r"^(?:\.venv/bin/)?(?:python -m maskrcnn_exp|maskrcnn-exp) (.*)$")
_OTHERS: Final = ("tensorboard ", "pip install ", "make ")
_INLINE: Final = re.compile(r"`((?:python -m maskrcnn_exp|maskrcnn-exp) [^`]*)`")


@dataclass(frozen=True)
class WrittenCommand:
    """One command as a page shows it."""

    page: str
    line: int  # from 1
    program: str  # maskrcnn_exp, tensorboard, pip or make
    words: tuple[str, ...]  # what follows the program's name, without a comment

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.program} {' '.join(self.words)}"


def commands_in(text: str, page: str) -> Iterator[WrittenCommand]:
    """Yield the commands of a Markdown text: lines of code blocks, prescriptions after an arrow, and inline code."""
    fenced, joined, first = False, "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if not joined and not fenced and not line.startswith("    "):
            yield from (_command(match, page, number) for match in _INLINE.findall(line))
            continue
        joined, first = joined + line.strip().removeprefix("→ "), first or number
        if joined.endswith("\\"):
            joined = joined.removesuffix("\\")
            continue
        if _OURS.match(joined) or joined.startswith(_OTHERS):
            yield _command(joined, page, first)
        joined, first = "", 0


def _command(text: str, page: str, line: int) -> WrittenCommand:
    ours = _OURS.match(text)
    program, rest = ("maskrcnn_exp", ours[1]) if ours else text.split(" ", 1)
    rest = re.sub(r"(?<= )\[(--[^\]]*)\]", r"\1", rest)  # what may be left out
    return WrittenCommand(page, line, program, tuple(shlex.split(rest, comments=True)))


COMMANDS: Final = [
    command for page in PAGES for command in commands_in(page.read_text(), str(page.relative_to(REPOSITORY)))
]
