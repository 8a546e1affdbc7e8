"""How long a command takes before it works: from the shell to the prompt, and from `train` to its first step."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.bench.records import write_record
from benchmarks.bench.row import Row

__all__ = ["rows"]

_TIMES: Final = 7
_ONE_STEP: Final = ("train", "trainer.epochs=1", "trainer.limit_batches=1")


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        write_record(run, seed=0)
        return [
            _row(("--help",), "≤ 0.5 s"),
            _row(("diagnose", str(run)), "≤ 1 s"),
            _row(("compare", str(run)), "≤ 1 s"),
            _row((*_ONE_STEP, f"run_dir={folder}/trained"), "≤ 12 s", times=1),
        ]


def _row(words: Sequence[str], target: str, times: int = _TIMES) -> Row:
    seconds = sorted(_timed(words) for _ in range(times))
    shown = " ".join(word for word in words if "/" not in word)
    return Row(
        f"start: `{shown}`",
        f"{statistics.median(seconds):.2f} s",
        target,
        spread=f"{seconds[0]:.2f} to {seconds[-1]:.2f} s, {times} times" if times > 1 else "once",
    )


def _timed(words: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "maskrcnn_exp", *words], check=True, capture_output=True)
    return time.perf_counter() - started
