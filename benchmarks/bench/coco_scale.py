"""A data set as large as COCO: how long it takes to open, what it holds, what a loader worker gains over an epoch.

A child process opens it as a training does. The epoch draws the outlines of every annotation; one picture in
PICTURE_EVERY is read, augmented and sent as in a training, since reading all of them would take half an hour.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch

from benchmarks.bench.coco_files import CocoFolder, CocoScale, write_coco
from benchmarks.bench.row import Row
from maskrcnn_exp.data.build import build_augment
from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.data.loader import EpochPlan, TrainBatches
from maskrcnn_exp.data.target import Sample, Target
from maskrcnn_exp.schema import AugmentConfig

__all__ = ["rows"]

PICTURE_EVERY: Final = 50
_WORKERS: Final = 2
_BATCH: Final = 16
_MIB: Final = 2**20


@dataclass(frozen=True)
class Measured:
    """Seconds and MiB."""

    start_s: float  # from the start of the process to the first batch
    import_s: float
    open_s: float  # both files, and the ground truth of the smaller one
    open_cpu_s: float
    bare_mib: float  # resident before anything was opened
    resident_mib: float  # after the epoch
    peak_mib: float
    own_first_mib: list[float]  # private memory of each worker at the first batch
    own_last_mib: list[float]  # at the end of the epoch


def rows() -> list[Row]:
    train, val = CocoScale(), CocoScale(pictures=5_000, annotations=36_000, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        files = [write_coco(Path(folder) / name, scale) for name, scale in (("train", train), ("val", val))]
        size = files[0].annotations.stat().st_size / 1e6
        found = _in_a_process(files)
    what = f"{train.pictures:,} pictures, {train.annotations:,} annotations"
    growth = [last - first for first, last in zip(found.own_first_mib, found.own_last_mib, strict=True)]
    return [
        Row(
            f"data loading, {what}: start",
            f"{found.start_s:.1f} s",
            "≤ 20 s",
            note=f"process start to first batch; opening {found.open_s:.1f} s, "
            f"of the processor {found.open_cpu_s:.1f} s; imports {found.import_s:.1f} s; "
            f"the file has {size:.0f} MB, twice COCO's",
        ),
        Row(
            "data loading: resident memory of the parent",
            f"{found.resident_mib / 1024:.2f} GiB",
            "≤ 1.5 GB",
            note=f"peak {found.peak_mib / 1024:.2f} GiB; torch alone {found.bare_mib / 1024:.2f} GiB",
        ),
        Row(
            "data loading: growth per worker over an epoch",
            " and ".join(f"{value:.0f} MiB" for value in growth),
            "≤ 50 MB",
            note=f"private memory, from {found.own_first_mib[0]:.0f} to {found.own_last_mib[0]:.0f} MiB in the first; "
            f"every annotation drawn, one picture in {PICTURE_EVERY} read",
        ),
    ]


def _in_a_process(files: list[CocoFolder]) -> Measured:
    words = [str(path) for folder in files for path in (folder.annotations, folder.images)]
    command = [sys.executable, "-m", "benchmarks.bench.coco_scale", str(time.time()), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


class _Outlines:
    """A data set that draws all outlines of a picture, and reads one picture in PICTURE_EVERY."""

    def __init__(self, dataset: CocoDataset) -> None:
        self._dataset = dataset
        self.categories, self.image_id, self.annotation_ids = (
            dataset.categories,
            dataset.image_id,
            dataset.annotation_ids,
        )
        self.ground_truth, self.summary = dataset.ground_truth, dataset.summary

    def __len__(self) -> int:
        return len(self._dataset)

    def load(self, index: int) -> Sample:
        if index % PICTURE_EVERY == 0:
            return self._dataset.load(index)
        position, coco = int(self._dataset.positions[index]), self._dataset.index
        height, width = int(self._dataset.pictures.heights[position]), int(self._dataset.pictures.widths[position])
        coco.segments.rles(coco.rows[coco.of_picture(position)].tolist(), height, width)
        masks = torch.zeros(0, 8, 8, dtype=torch.uint8)
        target = Target(boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64), masks=masks)
        return Sample(torch.zeros(3, 8, 8, dtype=torch.uint8), target, index)


def _measure(started: float, train_files: CocoFolder, val_files: CocoFolder) -> Measured:
    import_s, bare = time.time() - started, _resident()
    wall, cpu = time.perf_counter(), time.process_time()
    train = CocoDataset.open(train_files.annotations, train_files.images)
    val = CocoDataset.open(val_files.annotations, val_files.images)
    ground_truth, summary = val.ground_truth(), train.summary()  # a training holds them while its workers start
    open_s, open_cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    plan = EpochPlan(seed=0, length=len(train), batch_size=_BATCH)
    batches = TrainBatches(_Outlines(train), plan, build_augment(AugmentConfig()), workers=_WORKERS)
    stream = batches.epoch(1)
    next(stream)
    start_s, first = time.time() - started, list(_own_memory())
    for _ in stream:
        pass
    assert len(ground_truth["images"]) == len(val)
    assert summary.images == len(train)
    return Measured(
        start_s, import_s, open_s, open_cpu_s, bare, _resident(), _resident("VmHWM"), first, list(_own_memory())
    )


def _own_memory() -> Iterator[float]:
    """Private memory of each child process, MiB, in order of their start."""
    for process in sorted(multiprocessing.active_children(), key=lambda child: child.pid or 0):
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        yield sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024 / _MIB


def _resident(key: str = "VmRSS") -> float:
    """Resident memory of this process, MiB; `VmHWM` for its peak."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{key}:")[1].split()[0]) * 1024 / _MIB


if __name__ == "__main__":
    paths = [Path(word) for word in sys.argv[2:]]
    print(json.dumps(asdict(_measure(float(sys.argv[1]), CocoFolder(*paths[:2]), CocoFolder(*paths[2:])))))
