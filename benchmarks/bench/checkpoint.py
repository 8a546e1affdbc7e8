"""How long a training waits for a checkpoint of `resnet50_fpn`, against writing it in the loop.

Both write to the folder of temporary files, so their disk is the same. A step during the write is compared with one
without, in turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.bench.row import Row
from benchmarks.bench.trainings import OurTraining, config_of
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.engine.checkpoint_folder import CheckpointFolder
from maskrcnn_exp.engine.meter import EpochMeter
from maskrcnn_exp.engine.saver import RunIdentity, Saver
from maskrcnn_exp.recipes.setup import build_state, fabric_for, open_data
from maskrcnn_exp.record.run_log import RunLog

__all__ = ["rows"]

_WORDS: Final = (
    "model=resnet50_fpn",
    "model.backbone_weights=none",
    "model.min_size=[128]",  # the checkpoint is the same at any size of pictures
    "model.max_size=128",
    "trainer=cpu",
    "trainer.batch_size=2",
)
_SAVES: Final = 6
_WARMUP: Final = 2  # steps


@dataclass
class Measured:
    """Seconds; lists have one entry per save."""

    size: int = 0  # bytes
    in_loop: list[float] = field(default_factory=list)  # write and sync in the loop, as without a thread
    waits: list[float] = field(default_factory=list)  # the first takes the memory for the copy
    waits_cpu: list[float] = field(default_factory=list)  # of the processor, all threads of the copy
    writes: list[float] = field(default_factory=list)  # until it is on the disk
    step_alone: list[float] = field(default_factory=list)
    step_during: list[float] = field(default_factory=list)


def rows() -> list[Row]:
    return [_row(name) for name in ("adamw", "sgd")]


def _row(optimizer: str) -> Row:
    found = _measure(optimizer)
    wait, in_loop = statistics.median(found.waits), statistics.median(found.in_loop)
    slower = statistics.median(
        during / alone for alone, during in zip(found.step_alone, found.step_during, strict=True)
    )
    return Row(
        f"a checkpoint of `resnet50_fpn` with {optimizer}, {found.size / 1e6:.0f} MB: the loop waits",
        f"{wait:.2f} s",
        "≤ 0.5 s",
        in_loop / wait,
        f"{min(found.waits):.2f} to {max(found.waits):.2f} s, {len(found.waits)} saves",
        note=f"against {in_loop:.2f} s for writing in the loop; first save {found.waits[0]:.2f} s; processor "
        f"{statistics.median(found.waits_cpu):.2f} s; on the disk after {statistics.median(found.writes):.2f} s, "
        f"a step of {statistics.median(found.step_alone):.2f} s takes {slower:.2f} times as long meanwhile",
    )


def _measure(optimizer: str) -> Measured:
    found = Measured()
    with _training((*_WORDS, f"optimizer={optimizer}")) as (training, batch, saver):
        for _ in range(_WARMUP):
            training.step(batch)
        for _ in range(_SAVES):
            found.step_alone.append(_timed(lambda: training.step(batch)))
            cpu, started = time.process_time(), time.perf_counter()
            found.waits.append(_timed(saver.save))
            found.waits_cpu.append(time.process_time() - cpu)
            found.step_during.append(_timed(lambda: training.step(batch)))
            saver.wait()
            found.writes.append(time.perf_counter() - started)
            found.in_loop.append(_timed(lambda: saver.folder.save(saver.capture())))
        found.size = saver.folder.last.stat().st_size
    return found


@contextmanager
def _training(words: tuple[str, ...]) -> Iterator[tuple[OurTraining, list[Sample], Saver]]:
    config = config_of(words)
    fabric, _ = fabric_for(config.trainer)
    data = open_data(config, fabric)
    state, _ = build_state(config, fabric, data, detections=100, load_weights=False)
    batch = next(data.batches.epoch(1))
    with tempfile.TemporaryDirectory() as name, RunLog.open(Path(name) / "saved") as log:
        training = OurTraining(state, config.trainer.log_every_steps, Path(name) / "trained")
        identity = RunIdentity(data.categories, 100, "", [])
        folder = CheckpointFolder(Path(name) / "checkpoints")
        with Saver(folder, state, EpochMeter(state.loss_weights), log, identity, 0, 0.0) as saver:
            yield training, batch, saver
        training.close()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
