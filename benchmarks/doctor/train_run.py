"""One run of the table, trained by the real command in its own process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.doctor.faults import Case
from benchmarks.doctor.runs_file import Run
from maskrcnn_exp.diagnose.own_record import facts_of, latest_crash, points_of
from maskrcnn_exp.diagnose.prescriptions import train_words
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.history import History

__all__ = ["run_training", "start_weights", "train", "words_for"]

_COMMON: Final = ("trainer=cpu", "trainer.num_workers=0", "trainer.batch_size=4")
_RECIPES: Final[dict[str, tuple[str, ...]]] = {
    # As the default experiment but for the size: 30 steps an epoch, and masks of 0.4 AP after 300.
    "shapes": (
        "dataset=coco",
        "augment=for_shapes",
        "model.min_size=[96]",
        "trainer.epochs=10",
        "schedule.warmup_steps=30",
    ),
    "nuclei": (
        "experiment=nuclei",
        "model.min_size=[192]",
        "trainer.epochs=10",
        "schedule.warmup_steps=15",
    ),
}
_DIVERGED: Final = 4  # the exit code of a loss that is not finite
_UNREAD: Final = frozenset(
    tags.map_tag(kind, metric) for kind in ("bbox", "segm") for metric in ("APs", "APm", "APl", "ARs", "ARm", "ARl")
)
"""Recorded and read by no rule."""


def words_for(case: Case, dataset: str, seed: int, data: Path) -> list[str]:
    """Return the overrides of a run, but for its folder."""
    recipe = [*_COMMON, *_RECIPES[dataset], f"dataset.root={data}", f"seed={seed}"]
    start = [f"model.weights={start_weights(dataset, case.start_epochs, data)}"] if case.start_epochs else []
    return train_words(recipe, (*start, *case.words, *case.words_of.get(dataset, ())))


def start_weights(dataset: str, epochs: int, data: Path) -> Path:
    """Return the file with a data set's weights after so many epochs; it lies beside the folders of data."""
    return data.parent / f"{dataset}_start_{epochs}.pt"


def train(case: Case, dataset: str, seed: int, words: Sequence[str], folder: Path) -> Run:
    """Train in `folder`, which is removed afterwards; return what was recorded.

    Raises:
        RuntimeError: the training ended otherwise than by its last epoch or a loss that is not finite.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        run_training(words, folder)
    except RuntimeError as problem:
        raise RuntimeError(f"{case.name} of {dataset}, seed {seed}: {problem}") from problem
    run = _recorded(case, dataset, seed, folder)
    shutil.rmtree(folder)
    return run


def run_training(words: Sequence[str], folder: Path) -> None:
    """Train by the command, in its own process.

    Raises:
        RuntimeError: it ended otherwise than by its last epoch or a loss that is not finite.
    """
    # Two threads on a machine of two cores take as long as one each; one each runs two trainings.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    links = "dataset.follow_links=true"  # the cases of a data set share its pictures; no part of what is compared
    command = [sys.executable, "-m", "maskrcnn_exp", "train", *words, links, f"run_dir={folder}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, _DIVERGED):
        raise RuntimeError(f"exit code {done.returncode}\n{done.stderr[-2000:]}")


def _recorded(case: Case, dataset: str, seed: int, folder: Path) -> Run:
    epochs, steps = points_of(History.read(folder))
    last = max((epoch for points in epochs.values() for epoch in points), default=0)
    return Run(
        dataset=dataset,
        case=case.name,
        seed=seed,
        facts=facts_of(folder),
        epochs={tag: dict(points) for tag, points in epochs.items() if tag not in _UNREAD},
        steps={tag: dict(points) for tag, points in steps.items()},
        crash=latest_crash(folder, last),
    )
