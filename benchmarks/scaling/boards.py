"""TensorBoard in front of many runs: seconds until it has read them all, and what a run weighs."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.bench.records import write_record
from benchmarks.scaling.point import resident_mib

__all__ = ["boards"]

_EPOCHS: Final = 12
_REPOSITORY: Final = Path(__file__).parents[2]


def boards(counts: Sequence[int], folder: Path) -> None:
    """Print one line per number of runs. The folder grows from count to count."""
    written = 0
    for count in sorted(counts):
        for number in range(written, count):
            write_record(folder / str(number), number, epochs=_EPOCHS)
        written = count
        files = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        command = [sys.executable, "-m", "benchmarks.scaling.boards", str(folder)]
        done = subprocess.run(command, cwd=_REPOSITORY, check=True, capture_output=True, text=True)
        print(
            f"{count} runs, {len(files) / count:.0f} event file, {size / count / 1e3:.0f} kB a run: {done.stdout}",
            end="",
        )


def _load(folder: Path) -> None:
    """As `tensorboard --logdir` does before a run is shown in full: find the files, read every event."""
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    bare = resident_mib()
    wall, cpu = time.perf_counter(), time.process_time()
    multiplexer = EventMultiplexer(size_guidance={"scalars": 1000, "tensors": 10})
    multiplexer.AddRunsFromDirectory(str(folder))
    found_s = time.perf_counter() - wall
    multiplexer.Reload()
    clock_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"processor {cpu_s:.1f} s, clock {clock_s:.1f} s (finding {found_s:.1f} s), "
        f"{resident_mib() - bare:.0f} MiB, peak {used.ru_maxrss / 1024:.0f} MiB, {len(multiplexer.Runs())} runs"
    )


if __name__ == "__main__":
    _load(Path(sys.argv[1]))
