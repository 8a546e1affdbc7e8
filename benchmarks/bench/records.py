"""Reading the records of a thousand runs of fifty epochs, as `compare` does, beside TensorBoard's own reader.

The records are written by a training's own writer: every tag of an epoch, and the step tags of fifty steps per epoch.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.bench.row import Row
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.run_log import RunLog

__all__ = ["rows"]

COMPARED: Final = (
    *(make(loss) for make in (tags.train_loss_tag, tags.val_loss_tag, tags.share_tag) for loss in LOSSES),
    tags.TRAIN_TOTAL,
    tags.VAL_TOTAL,
    *(tags.map_tag(kind, metric) for kind in ("bbox", "segm") for metric in tags.COCO_METRICS),
    *(make(part) for make in (tags.lr_tag, tags.grad_norm_tag, tags.update_ratio_tag, tags.clip_tag) for part in PARTS),
)
"""What a comparison shows of a run."""

_RUNS: Final = 1_000
_EPOCHS: Final = 50
_STEPS: Final = 50  # per epoch
_LOG_EVERY: Final = 10
_BY_TENSORBOARD: Final = 5  # runs


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / f"{number:04d}" for number in range(_RUNS)]
        for number, folder in enumerate(folders):
            write_record(folder, number)
        size = sum(path.stat().st_size for folder in folders for path in folder.iterdir()) / 1e6
        seconds, cpu_seconds = _timed(lambda: [read(folder) for folder in folders])
        theirs, _ = _timed(lambda: [_read_by_tensorboard(folder) for folder in folders[:_BY_TENSORBOARD]])
        command = [sys.executable, "-m", "maskrcnn_exp", "compare", name, "--json"]
        whole, _ = _timed(lambda: subprocess.run(command, check=True, capture_output=True))
    per_run, their_per_run = seconds / _RUNS, theirs / _BY_TENSORBOARD
    return [
        Row(
            f"reading the record of {_RUNS:,} runs of {_EPOCHS} epochs for `compare`",
            f"{seconds:.1f} s",
            "≤ 10 s",
            their_per_run / per_run,
            note=f"processor {cpu_seconds:.1f} s; {size:.0f} MB, {len(COMPARED)} tags; beside TensorBoard's "
            f"EventAccumulator, {1e3 * their_per_run:.0f} ms a run",
        ),
        Row(f"`compare` of {_RUNS:,} such runs, the whole command", f"{whole:.1f} s", "≤ 10 s"),
    ]


def write_record(folder: Path, seed: int, epochs: int = _EPOCHS) -> None:
    """Write the record of a run: numbers are random, their tags and places are a real run's."""
    rng = np.random.default_rng(seed)
    with RunLog.open(folder) as log:
        log.text("config", "```yaml\n" + "key: value  # as long as a real configuration\n" * 120 + "```", 0)
        for epoch in range(1, epochs + 1):
            for step in range((epoch - 1) * _STEPS + _LOG_EVERY, epoch * _STEPS + 1, _LOG_EVERY):
                log.step(step, dict(zip(tags.STEP_TAGS, rng.random(len(tags.STEP_TAGS)).tolist(), strict=True)))
            log.epoch(epoch, dict(zip(tags.EPOCH_TAGS, rng.random(len(tags.EPOCH_TAGS)).tolist(), strict=True)))


def read(folder: Path) -> float:
    """Read one run's numbers; return their sum, so that none can be left out."""
    history = History.read(folder, COMPARED)
    return sum(float(history.series(tag).values.sum()) for tag in COMPARED)


def _read_by_tensorboard(folder: Path) -> float:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return sum(point.value for tag in COMPARED for point in board.Scalars(tag))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu
