"""Train the runs of the table and keep their curves; what is recorded with the same words already is skipped.

    python -m benchmarks.doctor.record --dataset shapes --seeds 0 1 --jobs 2
    python -m benchmarks.doctor.record --dataset nuclei --seeds 0 --only default mask_lr_low
    python -m benchmarks.doctor.record --dataset shapes --seeds 0 --only overfit --again

A run takes about a minute of one core. It can be stopped at any time: each run is written as soon as it is done.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from benchmarks.doctor.faults import CASES, DATASETS, Case, cases_of
from benchmarks.doctor.folders import folder_for
from benchmarks.doctor.runs_file import CURVES, DATA, Run, read_runs, write_runs
from benchmarks.doctor.start_weights import make_start_weights
from benchmarks.doctor.train_run import train, words_for

__all__ = ["missing"]

Task = tuple[Case, int]

_WORK: Final = Path(tempfile.gettempdir()) / "maskrcnn_doctor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=DATASETS, default="shapes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=sorted(CASES), metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--again", action="store_true", help="train them anew although they are recorded")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, one thread each")
    parser.add_argument("--work", type=Path, default=_WORK, help="folder for data and runs under way")
    parser.add_argument("--curves", type=Path, default=CURVES, help="folder that the curves are written to")
    arguments = parser.parse_args()
    recorded = [] if arguments.again else read_runs(arguments.dataset, arguments.curves)
    tasks = missing(arguments.dataset, arguments.seeds, recorded, arguments.only)
    print(f"{len(tasks)} runs to train", flush=True)
    for run in _trained(tasks, arguments.dataset, arguments.work, arguments.jobs):
        others = [other for other in read_runs(arguments.dataset, arguments.curves) if other.key != run.key]
        write_runs(arguments.dataset, [*others, run], arguments.curves)
        print(f"{time.strftime('%H:%M:%S')} {run.case} {run.seed}: mask AP {run.mask_ap:.3f}", flush=True)


def missing(dataset: str, seeds: Sequence[int], recorded: Sequence[Run], only: Sequence[str] | None) -> list[Task]:
    """Return the runs of a data set that are not recorded with the words that they have now, seed by seed.

    Args:
        only: Names of cases; None: all.
    """
    words = {(run.case, run.seed): run.words for run in recorded if run.dataset == dataset}
    return [
        (case, seed)
        for seed in seeds
        for case in cases_of(dataset)
        if (not only or case.name in only)
        and words.get((case.name, seed)) != words_for(case, dataset, seed, Path(DATA))
    ]


def _trained(tasks: Sequence[Task], dataset: str, work: Path, jobs: int) -> Iterator[Run]:
    """Yield each run when it is done; one that cannot be trained is named and the others go on."""
    for epochs in {case.start_epochs for case, _ in tasks} - {0}:
        make_start_weights(dataset, epochs, work)
    folders = {(case.name, seed): folder_for(case, dataset, seed, work / "data") for case, seed in tasks}
    with ThreadPoolExecutor(jobs) as pool:
        futures = [
            pool.submit(
                train,
                case,
                dataset,
                seed,
                words_for(case, dataset, seed, folders[case.name, seed]),
                work / f"runs/{dataset}_{case.name}_{seed}",
            )
            for case, seed in tasks
        ]
        for future in as_completed(futures):
            try:
                yield future.result()
            except RuntimeError as problem:
                print(problem, flush=True)


if __name__ == "__main__":
    main()
