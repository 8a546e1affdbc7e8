"""What is kept of the steps before a NaN: enough to name the pictures and to run the step again."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import distributed

from maskrcnn_exp.data.target import InstanceDataset, Sample
from maskrcnn_exp.engine.checkpoint import Checkpoint, write_checkpoint
from maskrcnn_exp.engine.loop import NonFiniteStep, StepRecord
from maskrcnn_exp.errors import CheckpointError
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record.atomic import write_json_atomic

__all__ = ["BlackBox", "cause_of", "first_cause", "read_report"]

_STEPS = 50
_REPORT, _STATE = "report.json", "state.pt"


class BlackBox:
    """Remembers the last steps; writes `black_box/step_0000042/` when one of them goes wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._steps: deque[StepRecord] = deque(maxlen=_STEPS)

    @property
    def steps(self) -> tuple[StepRecord, ...]:
        """The last steps, oldest first."""
        return tuple(self._steps)

    def remember(self, record: StepRecord) -> None:
        self._steps.append(record)

    def forget_after(self, step: int) -> None:
        """Forget what came after `step`: it was undone."""
        self._steps = deque((record for record in self._steps if record.step <= step), maxlen=_STEPS)

    def write(self, event: NonFiniteStep, dataset: InstanceDataset, checkpoint: Checkpoint) -> Path:
        """Write the report and the state from before the step on the first process; return their folder.

        All processes must call this. The report holds the pictures of the step with image and annotation ids, its
        losses and norms, and losses, norms and learning rates of the last 50 steps. `checkpoint` must be of the
        moment before the step; where a weight is bad, of the moment after it.
        """
        if not event.tensors:
            self.remember(event.record)
        folder = self.folder / f"step_{event.record.step:07d}"
        mine = [[_described(sample, dataset) for sample in batch] for batch in event.samples]
        batches = _over_processes(mine)
        if not _is_first():
            return folder
        self.folder.mkdir(exist_ok=True)  # a run's folder that is gone is not made anew
        folder.mkdir(exist_ok=True)
        report = {
            "step": event.record.step,
            "epoch": checkpoint.progress["epoch"],
            "cause": cause_of(event),
            "batch_sizes": [len(batch) for batch in batches],
            "pictures": [picture for batch in batches for picture in batch],
            "steps": [asdict(record) for record in self._steps],
        }
        write_checkpoint(folder / _STATE, checkpoint)
        write_json_atomic(folder / _REPORT, report)
        return folder


def _described(sample: Sample, dataset: InstanceDataset) -> dict[str, Any]:
    return {
        "index": sample.index,
        "image_id": dataset.image_id(sample.index),
        "annotation_ids": dataset.annotation_ids(sample.index),
        "seed": sample.seed,
    }


def _over_processes(mine: list[list[Any]]) -> list[list[Any]]:
    """Join the shares of each batch in order of the processes: the order that one process would have."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return mine
    everyone: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(everyone, mine)
    return [[item for share in shares for item in share] for shares in zip(*everyone, strict=True)]


def _is_first() -> bool:
    return not (distributed.is_available() and distributed.is_initialized()) or distributed.get_rank() == 0


def cause_of(event: NonFiniteStep) -> str:
    """Name what is not finite: weights, losses, or gradients."""
    if not event.tensors:
        return first_cause(event.record)
    more = f" and {len(event.tensors) - 3} more" if len(event.tensors) > 3 else ""
    return f"weights or statistics are not finite: {', '.join(event.tensors[:3])}{more}"


def first_cause(record: StepRecord) -> str:
    """Name what is not finite: the losses where there are any, else the parts with a bad gradient."""
    bad = {name: record.losses[name] for name in LOSSES if not math.isfinite(record.losses[name])}
    if not bad:
        bad = {f"gradient norm of {part}": norm for part, norm in record.grad_norm.items() if not math.isfinite(norm)}
    return ", ".join(f"{name} = {value}" for name, value in bad.items())


def read_report(folder: Path) -> tuple[Mapping[str, Any], Path]:
    """Return a black box's report and the path of its state.

    Raises:
        CheckpointError: the folder holds no black box.
    """
    report, state = folder / _REPORT, folder / _STATE
    if not report.is_file() or not state.is_file():
        raise CheckpointError(f"{folder}: no black box; expected {_REPORT} and {_STATE} in it.")
    content: Mapping[str, Any] = json.loads(report.read_text())
    return content, state
