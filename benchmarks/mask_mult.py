"""Does `lr.mask_mult` matter? Train the default once per multiplier and print a table of final mask and box AP.

    python benchmarks/mask_mult.py --epochs 6 --seeds 0 1 2

Each run is the real command in its own process, one after the other. 18 epochs of the default take some 5 minutes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from maskrcnn_exp.record.history import History

COLUMNS = {  # tag: how its numbers are printed
    "mAP/segm_AP": ".4f",
    "mAP/bbox_AP": ".4f",
    "loss/train_loss_mask": ".4f",
    "update_ratio/mask": ".2e",  # so small that four places would hide the differences
}


def train(folder: Path, multiplier: float, seed: int, epochs: int, overrides: list[str]) -> dict[str, float]:
    """Train one run in `folder`, or read it where it is finished; return the final number of each column."""
    words = [f"lr.mask_mult={multiplier}", f"trainer.epochs={epochs}", f"seed={seed}", f"run_dir={folder}", *overrides]
    subprocess.run([sys.executable, "-m", "maskrcnn_exp", "train", *words], check=True, stdout=subprocess.DEVNULL)
    history = History.read(folder, set(COLUMNS))
    return {tag: float(history.series(tag).values[-1]) for tag in COLUMNS}


def cell(values: list[float], form: str) -> str:
    """Return mean, and the standard deviation where there are several values, in a number format such as `.4f`."""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{statistics.mean(values):{form}} ± {statistics.stdev(values):{form}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--multipliers", type=float, nargs="+", default=[0.02, 0.2, 1, 4, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--folder", type=Path, default=Path("runs/mask_mult"))
    parser.add_argument("overrides", nargs="*", help="Hydra overrides for every run")
    arguments = parser.parse_args()
    print(f"| lr.mask_mult | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for multiplier in arguments.multipliers:
        runs = [
            train(arguments.folder / f"{multiplier:g}_{seed}", multiplier, seed, arguments.epochs, arguments.overrides)
            for seed in arguments.seeds
        ]
        cells = (cell([run[tag] for run in runs], form) for tag, form in COLUMNS.items())
        print(f"| {multiplier:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
