"""Measure, and print the table; with `--write`, put it into benchmarks/RESULTS.md.

    python -m benchmarks.bench                    everything, on the CPU
    python -m benchmarks.bench steps evaluation   some of it
    python -m benchmarks.bench profile            what a step spends its time in, ours and the reference's

A measurement is a module of this folder with a function `rows() -> list[Row]`; its name stands in REGISTRY. What it
imports and prepares is not timed by anyone else. Close other programs first: two cores are few.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from pathlib import Path
from typing import Final

from benchmarks.bench.row import Row, table

REGISTRY: Final = (
    "steps",
    "evaluation",
    "equality",
    "overhead",
    "coco_scale",
    "records",
    "checkpoint",
    "startup",
    "gpu",
    "growth",
)
"""The modules, in the order of the table."""

_THREADS: Final = 2
_RESULTS: Final = Path(__file__).parents[1] / "RESULTS.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join((*REGISTRY, 'profile'))}; all where none is named")
    parser.add_argument("--write", action="store_true", help=f"write the section into {_RESULTS.name}")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {*REGISTRY, "profile"}
    if unknown:
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    if arguments.write and arguments.names:
        parser.error("--write replaces the whole section, so it measures everything")
    os.environ.setdefault("OMP_NUM_THREADS", str(_THREADS))  # before torch: it reads it once
    names = arguments.names or [*REGISTRY, "profile"]
    rows = [row for name in REGISTRY if name in names for row in _measure(name)]
    profile = ""
    if "profile" in names:
        profile = importlib.import_module("benchmarks.bench.profile").text()
    print("\n\n".join(text for text in (table(rows) if rows else "", profile) if text))
    if arguments.write:
        from benchmarks.bench.results import write_section

        write_section(_RESULTS, rows, profile)


def _measure(name: str) -> list[Row]:
    started = time.perf_counter()
    rows: list[Row] = importlib.import_module(f"benchmarks.bench.{name}").rows()
    print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    return rows


if __name__ == "__main__":
    main()
