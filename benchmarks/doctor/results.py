"""Write RESULTS.md from the recorded curves: confusion, earliness, recoveries, and the other doctors' answers.

python -m benchmarks.doctor.results
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.doctor.faults import DATASETS, FAULTS, cases_of
from benchmarks.doctor.peers import FILE
from benchmarks.doctor.recover import recoveries, recovery_table
from benchmarks.doctor.runs_file import CURVES, Run, read_runs
from benchmarks.doctor.score import Score, confusion, described, rates, score_of, split_runs
from maskrcnn_exp.record.atomic import write_text_atomic

__all__ = ["document"]

_RESULTS: Final = Path(__file__).with_name("RESULTS.md")

_INTRO: Final = """\
# How good the diagnosis is

Written by `python -m benchmarks.doctor.results` from the curves in `benchmarks/doctor/curves`; nothing in it is typed.

Each run is a real training of the `train` command, with one planted fault or none: drawn shapes (120 pictures of 96
pixels, 10 epochs of 30 steps, other pictures for each seed) and cell nuclei (60 pictures of 256 pixels, 10 epochs).
[`faults.py`](faults.py) says what was planted and which verdicts name it; a verdict that is true but tells another
story does not count. Corrupted annotations are those of the training split, so that mask AP is measured against the
truth; boxes, half of the objects, and empty masks are corrupted in both splits. *Named*: the first verdict after the
last epoch names the fault, with a warning at least. *Early*: it did so after an epoch within the first 40 % of the
planned ones. Rules and thresholds were tuned on shapes 0 and 1, nuclei 0, and the runs that `docs/diagnosis.md` lists;
all other runs were only looked at for the report."""

_PEERS: Final = """\
runmedic 0.1.1, losslint 0.4.1 and training-doctor 0.1.0 with their defaults, on the total, the five losses, the
validation loss, the learning rate and the gradient norm of each run. Any of their findings may name the fault, by the
most generous reading of its words (`NAMES` in [`peers.py`](peers.py)); of `diagnose` only the first verdict counts. An
alarm is a finding that is a warning or worse, by the tool's own scale."""


def document(curves: Path = CURVES) -> str:
    """Return the whole text."""
    runs = [run for dataset in DATASETS for run in read_runs(dataset, curves)]
    tuned, report = split_runs(runs)
    parts = [_INTRO]
    parts += _section("Report", report)
    parts += _section("Tuned on", tuned)
    parts += ["## What a fault costs", _costs(runs)]
    found = [one for dataset in DATASETS for one in recoveries(dataset, curves)]
    if found:
        parts += ["## Prescriptions, run for real", recovery_table(found)]
    peers = curves / FILE
    if peers.is_file():
        parts += ["## Other log doctors on the same runs", _PEERS, peers.read_text().strip()]
    return "\n\n".join(parts) + "\n"


def _section(title: str, runs: Sequence[Run]) -> list[str]:
    if not runs:
        return []
    scores = [score_of(run) for run in runs]
    by_source: dict[tuple[str, int], list[Score]] = {}
    for score in scores:
        by_source.setdefault((score.run.dataset, score.run.seed), []).append(score)
    names = ", ".join(f"{dataset} {seed} ({len(rows)} runs)" for (dataset, seed), rows in sorted(by_source.items()))
    lines = [
        *described(rates(scores)).splitlines(),
        *(_absent(dataset, seed, rows) for (dataset, seed), rows in by_source.items()),
    ]
    return [f"## {title}: {names}", "  \n".join(line for line in lines if line), confusion(scores)]


def _absent(dataset: str, seed: int, scores: Sequence[Score]) -> str:
    """Return which runs of the table are not recorded: the shares above say nothing about them."""
    known = {score.run.case for score in scores}
    absent = [case.name for case in cases_of(dataset) if case.name not in known]
    return f"not recorded yet of {dataset} {seed}: {', '.join(absent)}" if absent else ""


def _costs(runs: Sequence[Run]) -> str:
    """Return best mask AP of each fault and of the healthy run beside it, the mean over seeds."""
    known = {run.key: run for run in runs}
    lines = ["| planted | mask AP: healthy → faulty, mean | runs |", "|---|---|---|"]
    for case in FAULTS:
        pairs = [
            (known[run.dataset, case.beside, run.seed].mask_ap, run.mask_ap)
            for run in runs
            if run.case == case.name and (run.dataset, case.beside, run.seed) in known
        ]
        if pairs:
            healthy, faulty = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
            lines.append(f"| {case.name} | {healthy:.3f} → {faulty:.3f} | {len(pairs)} |")
    return "\n".join(lines)


def main() -> None:
    write_text_atomic(_RESULTS, document())
    print(f"wrote {_RESULTS.name}")


if __name__ == "__main__":
    main()
