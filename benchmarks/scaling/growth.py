"""The exponents of a table: seconds grow as trials to the power of so much."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np

__all__ = ["growth"]

_FROM: Final = 300  # trials; below, what does not grow hides what does


def growth(table: Path) -> str:
    """Return Markdown: per sampler, storage and step the figure at each size, and the exponent over the larger sizes.

    A step's figure is seconds of the process's own processor; memory is in MiB. What was given up is named below.
    """
    points: defaultdict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    given_up = []
    for line in csv.DictReader(table.open()):
        if not line["what"]:
            given_up.append(f"- {line['sampler']}, {line['storage']}, {line['trials']} trials: {line['note']}")
            continue
        key = line["sampler"], line["storage"], line["what"]
        points[key][_round(int(line["trials"]))] = float(line["processor_s"] or line["mib"])
    sizes = sorted({size for values in points.values() for size in values})
    lines = [
        f"| sampler | storage | what | {' | '.join(map(str, sizes))} | exponent |",
        "|---" * (len(sizes) + 4) + "|",
    ]
    for key, values in points.items():
        cells = [f"{values[size]:.3g}" if size in values else "" for size in sizes]
        lines.append(f"| {' | '.join([*key, *cells, _exponent(values)])} |")
    return "\n".join([*lines, "", *given_up])


def _round(trials: int) -> int:
    """A study holds some more than asked for: those of the points before. 1,012 is 1,000."""
    scale = 10 ** int(math.log10(trials))
    return round(trials / scale) * scale


def _exponent(values: dict[int, float]) -> str:
    usable = [(size, value) for size, value in values.items() if size >= _FROM and value > 0]
    if len(usable) < 2:
        return ""
    sizes, seconds = np.log(np.array(usable)).T
    return f"{np.polyfit(sizes, seconds, 1)[0]:.2f}"
