"""Run the prescription of each fault that a setting can mend, and say how much of the lost mask AP it brings back.

    python -m benchmarks.doctor.recover --dataset shapes --seeds 2 3 --jobs 2     train what is not recorded yet
    python -m benchmarks.doctor.recover --dataset shapes                          the table of what is recorded

The prescription is that of the first verdict at the end of the faulty run, whatever it says. A recorded run counts as
long as the diagnosis still prescribes the same words; else it is trained anew.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.doctor.faults import DATASETS
from benchmarks.doctor.folders import folder_for
from benchmarks.doctor.runs_file import CURVES, Run, read_runs, write_runs
from benchmarks.doctor.start_weights import make_start_weights
from benchmarks.doctor.train_run import train, words_for
from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.prescriptions import train_words

__all__ = ["ENOUGH", "Recovery", "prescribed_words", "recoveries", "recovery_table"]

ENOUGH: Final = 0.8  # share of the lost mask AP that a prescription should bring back
_LOST_LEAST: Final = 0.03  # mask AP; below it the loss is within the noise of two seeds, and no share of it means much


@dataclass(frozen=True)
class Recovery:
    """A faulty run, the healthy one beside it, and the one with the prescription."""

    faulty: Run
    healthy: Run
    words: tuple[str, ...]  # of the prescription
    mended: Run | None  # None: not trained yet, or there is no prescription

    @property
    def lost(self) -> float:
        """Mask AP that the fault costs."""
        return self.healthy.mask_ap - self.faulty.mask_ap

    @property
    def share(self) -> float:
        """Share of the lost mask AP that came back; 0 where nothing was prescribed."""
        return 0.0 if self.mended is None else (self.mended.mask_ap - self.faulty.mask_ap) / self.lost

    @property
    def counts(self) -> bool:
        """Whether the fault cost enough to ask."""
        return self.lost >= _LOST_LEAST


def prescribed_words(run: Run) -> tuple[str, ...]:
    """Return the words that the first verdict at the end prescribes for `train`; empty where it prescribes none."""
    first = next(iter(diagnose(run.curves()).faults), None)
    prescription = None if first is None else first.prescription
    return () if prescription is None or prescription.command != "train" else prescription.words


def recoveries(dataset: str, curves: Path = CURVES) -> list[Recovery]:
    """Return all recorded runs with a fault that a setting can mend, whose healthy run is recorded too."""
    runs = {run.key: run for run in read_runs(dataset, curves)}
    mended = {run.key: run for run in read_runs(f"{dataset}_mended", curves)}
    found = []
    for run in runs.values():
        healthy = runs.get((dataset, run.fault.beside, run.seed))
        if not run.fault.mends or healthy is None:
            continue
        words, trained = prescribed_words(run), mended.get(run.key)
        current = trained is not None and trained.prescribed == words
        found.append(Recovery(run, healthy, words, trained if current else None))
    return found


def recovery_table(found: Sequence[Recovery]) -> str:
    """Return one line of Markdown per run, and the share of the runs that got enough back."""
    lines = [
        "| planted | seed | healthy | faulty | prescribed | mended | of the loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        run = one.faulty
        mended = "–" if one.mended is None else f"{one.mended.mask_ap:.3f}"
        share = "within noise" if not one.counts else "–" if one.mended is None and one.words else f"{one.share:.0%}"
        lines.append(
            f"| {run.case} | {run.dataset} {run.seed} | {one.healthy.mask_ap:.3f} | {run.mask_ap:.3f} | "
            f"`{' '.join(one.words) or 'nothing'}` | {mended} | {share} |"
        )
    asked = [one for one in found if one.counts and (one.mended is not None or not one.words)]
    enough = sum(one.share >= ENOUGH for one in asked)
    share = f" ({enough / len(asked):.0%})" if asked else ""
    lines.append(f"\nAt least {ENOUGH:.0%} of the lost mask AP came back in {enough} of {len(asked)} runs{share}.")
    return "\n".join(lines)


def _trained(wanted: Sequence[Recovery], work: Path, jobs: int) -> Iterator[Run]:
    for dataset, epochs in {(one.faulty.dataset, one.faulty.fault.start_epochs) for one in wanted}:
        if epochs:
            make_start_weights(dataset, epochs, work)
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_train_mended, one, work) for one in wanted]
        for future in as_completed(futures):
            try:
                yield future.result()
            except RuntimeError as problem:
                print(problem, flush=True)


def _train_mended(one: Recovery, work: Path) -> Run:
    run = one.faulty
    data = folder_for(run.fault, run.dataset, run.seed, work / "data")
    words = train_words(words_for(run.fault, run.dataset, run.seed, data), one.words)
    folder = work / f"runs/mended_{run.dataset}_{run.case}_{run.seed}"
    return replace(train(run.fault, run.dataset, run.seed, words, folder), prescribed=one.words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=DATASETS, default="shapes")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="those to train; none: only print")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, one thread each")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "maskrcnn_doctor")
    parser.add_argument("--curves", type=Path, default=CURVES)
    arguments = parser.parse_args()
    found = recoveries(arguments.dataset, arguments.curves)
    wanted = [one for one in found if one.faulty.seed in arguments.seeds and one.mended is None and one.words]
    name = f"{arguments.dataset}_mended"
    for run in _trained(wanted, arguments.work, arguments.jobs):
        others = [other for other in read_runs(name, arguments.curves) if other.key != run.key]
        write_runs(name, [*others, run], arguments.curves)
        print(f"{time.strftime('%H:%M:%S')} {run.case} {run.seed}: mask AP {run.mask_ap:.3f}", flush=True)
    print(recovery_table(recoveries(arguments.dataset, arguments.curves)))


if __name__ == "__main__":
    main()
