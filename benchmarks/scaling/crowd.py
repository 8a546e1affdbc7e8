"""Many processes that write to one study at once: how long a report takes, and whether each one is there."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import optuna

from benchmarks.scaling.filling import fill
from benchmarks.scaling.studies import NAME
from maskrcnn_exp.sweep.storage import StorageSpec

__all__ = ["crowd"]

_WRITES: Final = 50  # of each process


def crowd(processes: int, storages: dict[str, Callable[[], str | None]], folder: Path) -> None:
    """Print one line per storage: appends per second of 1 and of `processes` processes, and the wait for one."""
    for kind, new in storages.items():
        for count in (1, processes):
            spec = StorageSpec(folder / f"{kind}_{count}", new())
            spec.folder.mkdir(parents=True)
            fill(spec, [], 0)
            seconds, waits = _together(spec, count)
            storage = spec.open()
            (summary,) = storage.get_all_studies()
            kept = sum(key.startswith("w") for key in summary.user_attrs)
            wait, longest = statistics.median(waits), max(waits)
            print(
                f"{kind}: {count} processes, {len(waits) / seconds:.0f} writes/s, median wait {wait * 1e3:.1f} ms, "
                f"longest {longest * 1e3:.0f} ms, {kept} of {count * _WRITES} kept",
                flush=True,
            )
            if hasattr(storage, "engine"):
                storage.engine.dispose()


def _together(spec: StorageSpec, count: int) -> tuple[float, list[float]]:
    context = multiprocessing.get_context("spawn")
    ready, told = context.Barrier(count + 1), context.Queue()
    started = [context.Process(target=_write, args=(spec, number, ready, told)) for number in range(count)]
    for process in started:
        process.start()
    ready.wait()
    begun = time.perf_counter()
    waits = [wait for _ in started for wait in told.get()]
    seconds = time.perf_counter() - begun
    for process in started:
        process.join()
    return seconds, waits


def _write(spec: StorageSpec, number: int, ready: Any, told: Any) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage, waits = spec.open(), []
    study_id = storage.get_study_id_from_name(NAME)
    ready.wait()
    for count in range(_WRITES):
        begun = time.perf_counter()
        storage.set_study_user_attr(study_id, f"w{number}/{count}", count)
        waits.append(time.perf_counter() - begun)
    told.put(waits)
