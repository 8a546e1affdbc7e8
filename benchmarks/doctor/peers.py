"""Other log doctors on the same runs: runmedic, losslint, training-doctor.

    python -m venv VENV && VENV/bin/pip install runmedic losslint training-doctor
    python -m benchmarks.doctor.peers --python VENV/bin/python

They are installed for this alone. Each run becomes a CSV file under the names that they look for: `train_loss`,
`grad_norm` on each logged step, `lr`, `val_loss` and the five losses at each epoch. Any of a tool's findings may name
the fault, not only its first; what counts as naming is the most generous reading of its words (NAMES).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.doctor.faults import DATASETS
from benchmarks.doctor.runs_file import CURVES, Run, read_runs
from benchmarks.doctor.score import score_of, split_runs
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.record import tags

__all__ = ["FILE", "NAMES", "TOOLS", "Peer", "findings_of", "peer_table", "write_csv"]

FILE: Final = "peers.md"
"""Beside the curves: what the tools said, for RESULTS.md, which is written without them."""

Findings = Mapping[str, Mapping[str, list[tuple[str, str]]]]  # run → tool → kind, severity

TOOLS: Final = ("runmedic", "losslint", "training-doctor")

_HIGH: Final = frozenset({"lr_high", "mask_lr_high", "wrong_normalisation"})
_LOW: Final = frozenset({"lr_low", "mask_lr_low", "clip_small", "frozen_backbone"})
_OVERFIT: Final = frozenset({"tiny_training_set"})

NAMES: Final[dict[str, frozenset[str]]] = {
    # runmedic
    "non_finite": _HIGH,
    "divergence": _HIGH,
    "loss_spikes": _HIGH,
    "grad_spikes": _HIGH,
    "no_learning": _LOW | _HIGH,
    "constant_lr_plateau": _LOW,
    "overfitting": _OVERFIT,
    # losslint
    "nan_inf": _HIGH,
    "loss_spike": _HIGH,
    "stagnation": _LOW | _HIGH,
    "overfit_onset": _OVERFIT,
    # training-doctor
    "Learning rate likely too high": _HIGH,
    "Learning rate may be too low": _LOW,
    "Gradient instability detected": _HIGH,
    "Training plateau detected": _LOW,
    "Early training plateau": _LOW | _HIGH,
    "Overfitting detected": _OVERFIT,
}
"""Finding → faults that it names."""

_ALARMS: Final = frozenset({"warning", "critical", "error"})


@dataclass(frozen=True)
class Peer:
    """How a tool did."""

    faulty: int
    named: int
    healthy: int
    alarmed: int  # healthy runs with a finding that is no mere note
    kinds: Counter[str]


def write_csv(run: Run, path: Path) -> None:
    """Write a run as a table with one row per logged step and per epoch."""
    rows = [*_step_rows(run), *_epoch_rows(run)]
    names = ["step", "train_loss", "val_loss", "lr", "grad_norm", *LOSSES]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["step"]))


def _step_rows(run: Run) -> list[dict[str, float]]:
    totals = run.steps.get(tags.step_tag("total"), {})
    norms = [run.steps.get(tags.step_tag(tags.grad_norm_tag(part)), {}) for part in PARTS]
    return [
        {
            "step": step,
            "train_loss": total,
            "grad_norm": float(np.sqrt(sum(norm.get(step, 0.0) ** 2 for norm in norms))),
        }
        for step, total in totals.items()
    ]


def _epoch_rows(run: Run) -> list[dict[str, float]]:
    steps = run.curves().steps_per_epoch or 1.0
    columns = {
        "val_loss": run.epochs.get(tags.VAL_TOTAL, {}),
        "lr": run.epochs.get(tags.lr_tag("mask"), {}),
        **{loss: run.epochs.get(tags.train_loss_tag(loss), {}) for loss in LOSSES},
    }
    epochs = sorted({epoch for points in columns.values() for epoch in points})
    return [
        {
            "step": round(epoch * steps),
            **{name: points[epoch] for name, points in columns.items() if epoch in points},
        }
        for epoch in epochs
    ]


def findings_of(runs: Sequence[Run], python: Path) -> Findings:
    """Return what the tools, installed beside the interpreter `python`, find."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for run in runs:
            path = Path(folder) / f"{'-'.join(map(str, run.key))}.csv"
            write_csv(run, path)
            paths.append(str(path))
        probe = Path(__file__).with_name("peer_probe.py")
        done = subprocess.run([str(python), str(probe), *paths], capture_output=True, text=True, check=True)
    found: Findings = json.loads(done.stdout)
    return found


def judged(tool: str, runs: Sequence[Run], findings: Findings) -> Peer:
    """Count what a tool named."""
    kinds: Counter[str] = Counter()
    named = alarmed = 0
    for run in runs:
        found = findings["-".join(map(str, run.key))][tool]
        kinds.update({kind for kind, _ in found})
        if run.fault.healthy:
            alarmed += any(severity.lower() in _ALARMS for _, severity in found)
        else:
            named += any(run.case in NAMES.get(kind, frozenset()) for kind, _ in found)
    healthy = sum(run.fault.healthy for run in runs)
    return Peer(len(runs) - healthy, named, healthy, alarmed, kinds)


def peer_table(runs: Sequence[Run], findings: Findings) -> str:
    """Return a table in Markdown, this project's diagnosis in the last row."""
    lines = ["| doctor | faults named | healthy runs alarmed | what it said, runs |", "|---|---|---|---|"]
    for tool in TOOLS:
        peer = judged(tool, runs, findings)
        said = ", ".join(f"{kind} {count}" for kind, count in peer.kinds.most_common()) or "nothing"
        lines.append(f"| {tool} | {peer.named} of {peer.faulty} | {peer.alarmed} of {peer.healthy} | {said} |")
    scores = [score_of(run) for run in runs]
    faulty = [score for score in scores if not score.run.fault.healthy]
    healthy = [score for score in scores if score.run.fault.healthy]
    alarmed = sum(score.answer != "none" for score in healthy)
    named = sum(score.named for score in faulty)
    lines.append(f"| diagnose, first verdict only | {named} of {len(faulty)} | {alarmed} of {len(healthy)} | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="interpreter of the environment with the tools")
    parser.add_argument("--curves", type=Path, default=CURVES)
    arguments = parser.parse_args()
    runs = [run for dataset in DATASETS for run in read_runs(dataset, arguments.curves)]
    findings = findings_of(runs, arguments.python)
    parts = zip(("Runs that the rules were tuned on", "Report"), split_runs(runs), strict=True)
    tables = [f"{title}:\n\n{peer_table(part, findings)}" for title, part in parts if part]
    text = "\n\n".join(tables) + "\n"
    (arguments.curves / FILE).write_text(text)
    print(text)


if __name__ == "__main__":
    main()
