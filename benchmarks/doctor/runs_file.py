"""The committed curves: one line of JSON per run in `curves/<data set>.jsonl.gz`.

A run keeps what the rules read: its tags by epoch, the gradient norms and the total by step, four digits each, what its
configuration says, and the black box of a run that ended in one.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from benchmarks.doctor.faults import CASES, Case
from maskrcnn_exp.diagnose.curves import Crash, Curves
from maskrcnn_exp.diagnose.facts import RunFacts
from maskrcnn_exp.record.atomic import write_atomic
from maskrcnn_exp.record.data_found import DataFound

__all__ = ["CURVES", "DATA", "Run", "read_runs", "write_runs"]

CURVES: Final = Path(__file__).parent / "curves"

Points = dict[str, dict[int, float]]
DATA: Final = "DATA"
"""Stands for the data's folder on the machine that trained."""


@dataclass(frozen=True)
class Run:
    """One recorded training."""

    dataset: str
    case: str
    seed: int
    facts: RunFacts
    epochs: Points = field(repr=False)  # tag → epoch → value
    steps: Points = field(repr=False)  # tag → optimiser step → value
    crash: Crash | None = None
    prescribed: tuple[str, ...] = ()  # what the diagnosis had changed; empty for a run of the table

    @property
    def key(self) -> tuple[str, str, int]:
        return self.dataset, self.case, self.seed

    @property
    def fault(self) -> Case:
        return CASES[self.case]

    @property
    def words(self) -> list[str]:
        """What the run was started with, without the folders of the machine that trained it."""
        kept = [word for word in self.facts.overrides if not word.startswith("run_dir=")]
        return [_without_folder(word) for word in kept]

    @property
    def last_epoch(self) -> int:
        """The last one that was recorded, or that ended in a black box."""
        recorded = max((epoch for points in self.epochs.values() for epoch in points), default=0)
        return max(recorded, self.crash.epoch if self.crash else 0)

    @property
    def mask_ap(self) -> float:
        """The best one of the run; 0 for a run that was never evaluated."""
        values = [value for value in self.epochs.get("mAP/segm_AP", {}).values() if math.isfinite(value)]
        return max(values, default=0.0)

    def curves(self, until: int | None = None) -> Curves:
        """Return what the diagnosis had seen after epoch `until`; None: at the end."""
        last = self.last_epoch if until is None else until
        recorded = max((epoch for points in self.epochs.values() for epoch in points), default=1)
        steps = max((step for points in self.steps.values() for step in points), default=0)
        reached = steps if last >= recorded else steps * last / recorded + 0.5
        return Curves.of_points(
            f"{self.dataset}/{self.case}/{self.seed}",
            {tag: {at: value for at, value in points.items() if at <= last} for tag, points in self.epochs.items()},
            step_points={
                tag: {at: value for at, value in points.items() if at <= reached} for tag, points in self.steps.items()
            },
            facts=self.facts,
            crash=self.crash if self.crash and self.crash.epoch <= last else None,
        )

    def to_json(self) -> dict[str, Any]:
        facts = asdict(self.facts)
        crash = None if self.crash is None else {**asdict(self.crash), "folder": self.crash.folder.name}
        return {
            "dataset": self.dataset,
            "case": self.case,
            "seed": self.seed,
            "prescribed": list(self.prescribed),
            "facts": {**facts, "overrides": self.words},
            "crash": crash,
            "epochs": {tag: _columns(points) for tag, points in sorted(self.epochs.items())},
            "steps": {tag: _columns(points) for tag, points in sorted(self.steps.items())},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        return cls(
            dataset=data["dataset"],
            case=data["case"],
            seed=data["seed"],
            prescribed=tuple(data["prescribed"]),
            facts=_facts(data["facts"]),
            crash=_crash(data["crash"]),
            epochs={tag: _points(columns) for tag, columns in data["epochs"].items()},
            steps={tag: _points(columns) for tag, columns in data["steps"].items()},
        )


def read_runs(name: str, folder: Path = CURVES) -> list[Run]:
    """Return the runs of a file, which may not be there yet."""
    path = folder / f"{name}.jsonl.gz"
    if not path.is_file():
        return []
    return [Run.from_json(json.loads(line)) for line in gzip.decompress(path.read_bytes()).splitlines()]


def write_runs(name: str, runs: Iterable[Run], folder: Path = CURVES) -> None:
    """Write the runs in the order of the table; the same runs give the same bytes."""
    order = {case: place for place, case in enumerate(CASES)}
    known = sorted((run for run in runs if run.case in order), key=lambda run: (run.seed, order[run.case]))
    lines = [json.dumps(run.to_json(), separators=(",", ":")) for run in known]
    folder.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
    write_atomic(folder / f"{name}.jsonl.gz", lambda file: _write(file, packed))


def _without_folder(word: str) -> str:
    key, _, value = word.partition("=")
    return {"dataset.root": f"{key}={DATA}", "model.weights": f"{key}={Path(value).name}"}.get(key, word)


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _columns(points: Mapping[int, float]) -> tuple[list[int], list[float]]:
    places = sorted(points)
    return (places, [float(f"{points[place]:.4g}") for place in places])  # NaN and Infinity are Python's JSON


def _points(columns: list[list[float]]) -> dict[int, float]:
    return {int(at): float(value) for at, value in zip(*columns, strict=True)}


def _facts(data: Mapping[str, Any]) -> RunFacts:
    tuples = {key: tuple(value) for key, value in data.items() if isinstance(value, list)}
    found = {key: DataFound.from_json(data.get(key)) for key in ("train_data", "val_data")}
    return RunFacts(**{**data, **tuples, **found})


def _crash(data: Mapping[str, Any] | None) -> Crash | None:
    if data is None:
        return None
    return Crash(
        **{
            **data,
            "folder": Path(data["folder"]),
            "image_ids": tuple(data["image_ids"]),
            "steps": tuple(data["steps"]),
        }
    )
