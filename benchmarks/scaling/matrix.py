"""Every sampler on every storage at growing trial counts: one process per point, one line of a table each."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.scaling.filling import fill
from benchmarks.scaling.studies import OWN_NOTES, donors
from maskrcnn_exp.sweep.storage import StorageSpec

__all__ = ["SIZES", "Limits", "measure_all"]

SIZES: Final = (100, 300, 1_000, 3_000, 10_000)
_REPOSITORY: Final = Path(__file__).parents[2]
_FIELDS: Final = ("sampler", "storage", "trials", "what", "clock_s", "processor_s", "mib", "note")


@dataclass(frozen=True)
class Limits:
    """Seconds by the clock. What they cut off has a line that says so."""

    fill_s: float = 300.0  # drawing the trials of a sampler that reads its own notes
    point_s: float = 300.0  # one process, imports included


def measure_all(
    samplers: Sequence[str], storages: dict[str, Callable[[], str | None]], sizes: Sequence[int], out: Path,
    folder: Path, limits: Limits,
) -> None:  # fmt: skip
    """Append to the table `out`; `storages` gives the URL of a new, empty database by name, None for a journal."""
    for group in _groups(samplers):
        drawn = donors(group[0], time.monotonic() + limits.fill_s)
        trials = list(islice(drawn, max(sizes)))
        for kind, new in storages.items():
            spec = StorageSpec(folder / f"{kind}_{group[0]}", new())
            _grow(group, kind, spec, trials, sizes, out, limits)


def _groups(samplers: Sequence[str]) -> list[list[str]]:
    """Samplers that look at points and values only share their trials."""
    alike = [sampler for sampler in samplers if sampler not in OWN_NOTES and sampler != "brute_force"]
    others = [[sampler] for sampler in samplers if sampler not in alike]
    return [alike, *others] if alike else others


def _grow(
    group: list[str], kind: str, spec: StorageSpec, trials: list[Any], sizes: Sequence[int], out: Path, limits: Limits
) -> None:  # fmt: skip
    given_up: set[str] = set()
    held, used = 0, 0  # trials in the study; of `trials`
    for size in sizes:
        if size > len(trials):
            for sampler in group:
                _write(out, [_line(sampler, kind, size, "", note=f"drawing ended after {len(trials)} trials")])
            return
        fill(spec, trials[used : used + size - held], held)
        used, held = used + size - held, max(held, size)
        for sampler in group:
            if sampler not in given_up:
                lines, rounds = _point(sampler, kind, spec, held, limits.point_s)
                _write(out, lines)
                held += rounds
                if not rounds:
                    given_up.add(sampler)


def _point(sampler: str, kind: str, spec: StorageSpec, trials: int, seconds: float) -> tuple[list[Any], int]:
    command = [sys.executable, "-m", "benchmarks.scaling.point", sampler, str(spec.folder)]
    try:
        done = subprocess.run(
            [*command, *([] if spec.url is None else [spec.url])],
            cwd=_REPOSITORY, capture_output=True, text=True, timeout=seconds, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [_line(sampler, kind, trials, "", note=f"not done after {seconds:.0f} s")], 0
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no word"])[-1]
        return [_line(sampler, kind, trials, "", note=last)], 0
    point: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    lines = [
        _line(sampler, kind, trials, name.removesuffix("_s"), point[name], cpu, note=f"{point['rounds']} rounds")
        for name, cpu in point["cpu_s"].items()
    ]
    mib = point["open_mib"] - point["bare_mib"]
    lines.append(_line(sampler, kind, trials, "memory of the open study", mib=mib))
    return lines, point["rounds"]


def _line(
    sampler: str, storage: str, trials: int, what: str, clock: float | None = None, processor: float | None = None,
    mib: float | None = None, note: str = "",
) -> dict[str, object]:  # fmt: skip
    numbers = {"clock_s": clock, "processor_s": processor, "mib": mib}
    shown = {name: "" if value is None else f"{value:.4g}" for name, value in numbers.items()}
    return {"sampler": sampler, "storage": storage, "trials": trials, "what": what, "note": note, **shown}


def _write(out: Path, lines: Sequence[dict[str, object]]) -> None:
    is_new = not out.exists()
    with out.open("a", newline="") as file:
        writer = csv.DictWriter(file, _FIELDS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(lines)
