"""Does the faster step learn as well, and how soon is a mask AP reached? Our training and the reference's, in turns.

    python benchmarks/learning.py trainer.epochs=20 --seeds 0 1 2
    python benchmarks/learning.py experiment=nuclei dataset.root=FOLDER --target 0.45

Each training is the real command in its own process with two threads, one after the other. The first form prints
each side's mask and box AP after the last epoch, mean ± standard deviation over the seeds. With `--target`, a
training ends when its mask AP is there. Seconds are from the start of the process to the last epoch's line.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SIDES = {
    "ours": (sys.executable, "-m", "maskrcnn_exp", "train"),
    "reference": (sys.executable, "-m", "benchmarks.reference"),
}
BOX, MASK = re.compile(r"Box mAP: (\S+)"), re.compile(r"Mask mAP: (\S+)")


@dataclass(frozen=True)
class Epoch:
    """What an epoch's lines said, and when."""

    seconds: float  # since the start of the process
    box_ap: float
    mask_ap: float


def train(side: str, words: Sequence[str], target: float) -> list[Epoch]:
    """Train in a process of its own and return its epochs; end it once the mask AP is `target`."""
    epochs = []
    with tempfile.TemporaryDirectory() as folder:
        command = [*SIDES[side], *words, f"run_dir={folder}/run"]
        environment = {"OMP_NUM_THREADS": "2", **os.environ, "PYTHONUNBUFFERED": "1"}
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent, env=environment) as process:
            for epoch in _read(process, started):
                epochs.append(epoch)
                if epoch.mask_ap >= target:
                    process.kill()
                    return epochs
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return epochs


def _read(process: subprocess.Popen[str], started: float) -> Iterator[Epoch]:
    box_ap = 0.0
    for line in process.stdout or ():
        if found := BOX.search(line):
            box_ap = _number(found.group(1))
        if found := MASK.search(line):
            yield Epoch(time.perf_counter() - started, box_ap, _number(found.group(1)))


def _number(text: str) -> float:
    return 0.0 if text == "n/a" else float(text)


def _mean(values: Sequence[float], digits: int) -> str:
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def _last(epochs: list[Epoch], target: float) -> list[str]:
    last = epochs[-1]
    missed = target < math.inf and last.mask_ap < target
    return [
        f"{last.seconds:.0f}{', target missed' if missed else ''}",
        str(len(epochs)),
        f"{last.mask_ap:.4f}",
        f"{last.box_ap:.4f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--target", type=float, help="end a training at this mask AP")
    parser.add_argument("overrides", nargs="*", help="as for `maskrcnn_exp train`, for both")
    arguments = parser.parse_intermixed_args()
    target = math.inf if arguments.target is None else arguments.target
    found: dict[str, list[list[Epoch]]] = {side: [] for side in SIDES}
    print("| side | seed | seconds | epochs | mask AP | box AP |\n|---|---|---|---|---|---|")
    for seed in arguments.seeds:
        for side, runs in found.items():
            runs.append(train(side, [*arguments.overrides, f"seed={seed}"], target))
            print(f"| {' | '.join([side, str(seed), *_last(runs[-1], target)])} |", flush=True)
    for side, runs in found.items():
        masks, boxes = ([getattr(run[-1], name) for run in runs] for name in ("mask_ap", "box_ap"))
        seconds = _mean([run[-1].seconds for run in runs], 0)
        print(f"{side}: mask AP {_mean(masks, 4)}, box AP {_mean(boxes, 4)}, seconds {seconds}")


if __name__ == "__main__":
    main()
