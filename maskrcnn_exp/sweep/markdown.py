"""Small pieces of Markdown: tables, escaped text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["code", "escaped", "table", "trial_numbers"]

_SHOWN: Final = 12  # trial numbers in a line


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def trial_numbers(numbers: Sequence[int]) -> str:
    """Name trials, such as `trials 3, 9`; beyond twelve only how many more."""
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return f"{'trial' if len(numbers) == 1 else 'trials'} {shown}{more}"


def escaped(text: str) -> str:
    """Keep a value from being read as Markdown's table, tag or emphasis."""
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)


def code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"
