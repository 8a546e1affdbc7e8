"""How the cost of a step grows: with picture size, objects, classes, batch and loader workers; one plot each."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import matplotlib

from benchmarks.bench.pairs import interleave
from benchmarks.bench.row import Row
from benchmarks.bench.scenes import draw_batches
from benchmarks.bench.trainings import SideBySide, in_turns, side_by_side
from benchmarks.reference_parts import Pictures, train_loader
from maskrcnn_exp.data.build import build_augment, open_datasets
from maskrcnn_exp.data.loader import EpochPlan, TrainBatches

__all__ = ["rows"]

_PLOTS: Final = Path(__file__).parents[1] / "plots"
_PAIRS: Final = 4
_BATCHES: Final = 2  # different ones at each point
_SIDE, _BATCH, _OBJECTS = 192, 4, 5  # pixels, pictures, objects per picture: where the others are varied
_WORKER_STEPS: Final = 8

Point = tuple[float, float]
"""Seconds of a step: ours, the reference's."""


def rows() -> list[Row]:
    axes: list[tuple[str, str, Sequence[int], Callable[[int], Point]]] = [
        ("picture size", "pixels", (96, 128, 192, 256, 384), lambda side: _point(side=side)),
        ("objects per picture", "objects", (1, 5, 20, 50, 100), lambda objects: _point(objects=objects)),
        ("classes", "classes", (1, 10, 80, 300, 1000), lambda classes: _point(classes=classes)),
        ("batch", "pictures", (1, 2, 4, 8, 16), lambda batch: _point(batch=batch)),
        ("loader workers", "workers", (0, 1, 2, 4), _point_of_workers),
    ]
    return [_row(what, unit, values, measure) for what, unit, values, measure in axes]


def _row(what: str, unit: str, values: Sequence[int], measure: Callable[[int], Point]) -> Row:
    points = [measure(value) for value in values]
    ours, theirs = zip(*points, strict=True)
    name = f"{what.replace(' ', '_')}.png"
    _plot(_PLOTS / name, what, unit, values, {"ours": ours, "reference": theirs})
    figure = f"{ours[0]:.3f} → {ours[-1]:.3f} s, {ours[-1] / ours[0]:.1f} ×"
    note = f"the reference {theirs[0]:.3f} → {theirs[-1]:.3f} s, {theirs[-1] / theirs[0]:.1f} ×; [plot](plots/{name})"
    return Row(f"growth: {what}, {values[0]} → {values[-1]}", figure, note=note)


def _point(side: int = _SIDE, objects: int = _OBJECTS, classes: int = 3, batch: int = _BATCH) -> Point:
    words = ("trainer=cpu", f"trainer.batch_size={batch}", f"model.min_size=[{side}]", f"model.max_size={side}")
    batches = draw_batches(_BATCHES, batch, [(side, side)], objects, classes)
    with in_turns(words, batches, classes=classes) as both:
        return interleave(both.step_ours, both.step_reference, pairs=_PAIRS, warmup=2).medians


def _point_of_workers(workers: int) -> Point:
    """Loading and training together: what an iteration takes once the first batch is there."""
    warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores: that is the question
    with side_by_side(("trainer=cpu", f"trainer.num_workers={workers}"), keep=1) as both:
        return _loop_ours(both, workers), _loop_reference(both, workers)


def _loop_ours(both: SideBySide, workers: int) -> float:
    config = both.config
    train, _ = open_datasets(config.dataset)
    plan = EpochPlan(config.seed, len(train), config.trainer.batch_size)
    batches = TrainBatches(train, plan, build_augment(config.augment), workers=workers).epoch(1)
    both.ours.step(next(batches))
    started = time.perf_counter()
    for batch in islice(batches, _WORKER_STEPS):
        both.ours.step(batch)
    return (time.perf_counter() - started) / _WORKER_STEPS


def _loop_reference(both: SideBySide, workers: int) -> float:
    config = both.config
    train, _ = open_datasets(config.dataset)
    plan = EpochPlan(config.seed, len(train), config.trainer.batch_size)
    pictures = Pictures(train, seed=config.seed, augment=config.augment)
    pictures.epoch = 1
    batches = iter(train_loader(pictures, plan, workers))
    both.reference.step_loaded(*next(batches))
    started = time.perf_counter()
    for images, targets in islice(batches, _WORKER_STEPS):
        both.reference.step_loaded(images, targets)
    return (time.perf_counter() - started) / _WORKER_STEPS


def _plot(path: Path, what: str, unit: str, values: Sequence[int], curves: dict[str, Sequence[float]]) -> None:
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(4.2, 2.8), layout="constrained")
    for name, seconds in curves.items():
        axes.plot(values, seconds, marker="o", markersize=4, label=name)
    axes.set(xlabel=unit, ylabel="seconds per step", title=what, ylim=(0, None))
    axes.legend(frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
