"""One point of the study curves, in a process of its own: what a worker and a driver wait for at so many trials.

    python -m benchmarks.scaling.point SAMPLER FOLDER [URL]

prints one line of JSON. All of it goes through the classes that a worker and a driver use.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import optuna

from benchmarks.scaling.studies import METRIC, curve, plan_of
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.objective import parse_metric
from maskrcnn_exp.sweep.plan import SearchPlan
from maskrcnn_exp.sweep.presence import Presence, Watch
from maskrcnn_exp.sweep.results import write_results
from maskrcnn_exp.sweep.storage import StorageSpec
from maskrcnn_exp.sweep.study import SharedStudy, Taken
from maskrcnn_exp.sweep.trial import StudyTrial

__all__ = ["Point", "resident_mib"]

T = TypeVar("T")

_ROUNDS: Final = 5
_REPORTS: Final = 4  # of a trial
_ROUNDS_SECONDS: Final = 40.0  # no new round after so long


@dataclass(frozen=True)
class Point:
    """Seconds are medians over the rounds, by the clock; MiB are resident ones.

    `cpu_s` has the same names with the seconds of this process's processor, which a busy machine changes less. A
    server's are not in it, nor is the wait for a disk.
    """

    rounds: int
    open_s: float  # a worker connects and reads what is there
    over_s: float  # a worker looks whether the study is over
    take_s: float  # repair and ask: the study's lock is held for all of it
    first_report_s: float  # the trial builds what it needs, and asks the pruner
    report_s: float  # every further epoch
    complete_s: float
    poll_s: float  # the driver reads all trials, twice a second
    results_s: float  # the driver rewrites best.yaml, once per finished trial
    bare_mib: float  # before the study was opened
    open_mib: float  # after it
    end_mib: float  # after the rounds
    cpu_s: dict[str, float]


def measure(sampler: str, spec: StorageSpec) -> Point:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    plan = plan_of(sampler)
    plan.prepare(optuna.create_study(), 0)  # imports what the sampler needs
    bare = resident_mib()
    spent = _Spent()
    with Presence(spec, plan.study_name, 15.0) as presence:
        shared = spent.on("open_s", lambda: _open(spec, plan))
        opened = resident_mib()
        until, rounds = time.monotonic() + _ROUNDS_SECONDS, 0
        while rounds < _ROUNDS and time.monotonic() < until:
            _round(shared, presence.name, spent)
            rounds += 1
    wall, cpu_s = spent.medians()
    return Point(rounds=rounds, bare_mib=bare, open_mib=opened, end_mib=resident_mib(), cpu_s=cpu_s, **wall)


class _Spent:
    """Seconds by name, of the clock and of the processor."""

    def __init__(self) -> None:
        self._pairs: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)

    def on(self, name: str, work: Callable[[], T]) -> T:
        wall, cpu = time.perf_counter(), time.process_time()
        found = work()
        self._pairs[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        return found

    def medians(self) -> tuple[dict[str, float], dict[str, float]]:
        wall, cpu = (
            {name: statistics.median(pair[side] for pair in pairs) for name, pairs in self._pairs.items()}
            for side in (0, 1)
        )
        return wall, cpu


def _open(spec: StorageSpec, plan: SearchPlan) -> SharedStudy:
    shared = SharedStudy(spec, plan, Watch(spec.folder, 60.0))
    _ = shared.trials  # the first look reads everything
    return shared


def _round(shared: SharedStudy, worker: str, spent: _Spent) -> None:
    spent.on("over_s", lambda: (shared.halted(), shared.stop_requested("none"), shared.trials))
    taken = spent.on("take_s", lambda: shared.take(worker))
    if taken is None:
        raise RuntimeError(f"no trial to take: {shared.halted()}")
    trial, values = _trial(shared, taken), curve(shared.storage.get_trial(taken.trial_id).params, taken.number)
    for epoch, value in enumerate(values[:_REPORTS], start=1):
        spent.on("first_report_s" if epoch == 1 else "report_s", partial(trial.report, epoch, {METRIC: value}))
    spent.on("complete_s", lambda: shared.complete(taken, [max(values)], {attrs.SECONDS: 3600.0}))
    spent.on("poll_s", lambda: shared.trials)
    spent.on("results_s", lambda: write_results(shared.study, shared.spec.folder, "train"))


def _trial(shared: SharedStudy, taken: Taken) -> StudyTrial:
    return StudyTrial(
        storage=shared.spec,
        study_name=shared.plan.study_name,
        trial_id=taken.trial_id,
        number=taken.number,
        lease=taken.worker,
        pool="none",
        metric=parse_metric(f"{METRIC}@best", None),
        settings=shared.plan.settings,  # type: ignore[attr-defined]
        run_folder=shared.spec.folder / str(taken.number),
        connection=shared.study._storage,
    )


def resident_mib() -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    at = StorageSpec(Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
    print(json.dumps(asdict(measure(sys.argv[1], at))))
