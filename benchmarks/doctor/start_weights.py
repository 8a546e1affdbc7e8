"""The weights that fine-tuned runs start from: plain SGD learns nothing from scratch in 300 steps, all with a start.

Other pictures than those of any recorded run.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from benchmarks.doctor.faults import CASES
from benchmarks.doctor.folders import folder_for
from benchmarks.doctor.train_run import run_training, start_weights, words_for
from maskrcnn_exp.diagnose.prescriptions import train_words

__all__ = ["make_start_weights"]

_SEED: Final = 100


def make_start_weights(dataset: str, epochs: int, work: Path) -> None:
    """Train a data set's weights for so many epochs, where they are not there yet."""
    plain = CASES["default"]
    data = folder_for(plain, dataset, _SEED, work / "data")
    path = start_weights(dataset, epochs, data)
    if path.is_file():
        return
    folder = work / f"runs/start_{dataset}_{epochs}"
    run_training(train_words(words_for(plain, dataset, _SEED, data), [f"trainer.epochs={epochs}"]), folder)
    shutil.copyfile(folder / "checkpoints/best.pt", path)
    shutil.rmtree(folder)
