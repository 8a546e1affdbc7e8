"""How much training does pruning save, and does the study still find the best? Replay recorded learning curves.

    python benchmarks/sweep_replay.py --seeds 50
    python -m maskrcnn_exp train --multirun search=mask_head trainer.epochs=6 hydra.sweeper.study_name=recorded \
        hydra.sweeper.n_trials=24 hydra/sweeper/sampler=random hydra/sweeper/pruner=none \
        hydra.sweeper.health.enabled=false 'hydra.sweeper.enqueue=[]' hydra.sweeper.seed=1
    python benchmarks/sweep_replay.py --study multirun/recorded --write benchmarks/mask_head_curves.csv

The recorded study gives the curves: every trial ran to its end. A replayed trial at a new point follows one of the
three nearest recorded trials (distance in the logarithm of each parameter over its range), drawn with a weight of
1 / distance: a real curve with its real noise. Samplers and pruners are the real ones, as the presets configure them.
Compute is counted in epochs. `benchmarks/mask_head_curves.csv` holds the curves of the study above. `to target`:
epochs until a trial reached the mean best value of the unpruned random studies minus their standard deviation; a study
that never reached it counts with all its epochs, as a miss.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from hydra import compose, initialize_config_dir
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from maskrcnn_exp.config_names import conf_dir
from maskrcnn_exp.hydra_version import version_words
from maskrcnn_exp.schema import register_schema
from maskrcnn_exp.sweep.settings import SweeperSettings, build_pruner, build_sampler
from maskrcnn_exp.sweep.space import parse_space
from maskrcnn_exp.sweep.storage import StorageSpec

_CURVES = Path(__file__).parent / "mask_head_curves.csv"
NEIGHBOURS = 3
Space = dict[str, optuna.distributions.BaseDistribution]
METHODS = (
    ("random, no pruner", "random", "none"),
    ("tpe, no pruner", "tpe_joint", "none"),
    ("tpe, median", "tpe_joint", "median"),
    ("random, percentile 25", "random", "percentile"),
    ("tpe, percentile 25", "tpe_joint", "percentile"),
    ("tpe, successive halving", "tpe_joint", "successive_halving"),
    ("tpe, hyperband", "tpe_joint", "hyperband"),
)


@dataclass(frozen=True)
class Outcome:
    """One replayed study."""

    best: float  # of the complete trials
    epochs: int
    reached: tuple[tuple[int, float], ...]  # (epochs spent so far, best complete value so far)

    def epochs_to(self, target: float) -> int | None:
        return next((epochs for epochs, best in self.reached if best >= target), None)


class Curves:
    """Recorded trials, and which of them stands for a new point."""

    def __init__(self, points: list[dict[str, float]], curves: list[list[float]], space: Space) -> None:
        self.epochs = max(map(len, curves))
        self.space = space
        self.points = points
        self._places = np.array([self._place(point) for point in points])
        self._curves = curves

    @classmethod
    def of_study(cls, folder: Path, space: Space) -> Curves:
        """Read the trials of a study that ran to their end."""
        study = optuna.load_study(study_name=folder.name, storage=StorageSpec(folder).open())
        trials = study.get_trials(states=(TrialState.COMPLETE,))
        longest = max(len(trial.intermediate_values) for trial in trials)
        whole = [trial for trial in trials if len(trial.intermediate_values) == longest]
        values = [[trial.intermediate_values[step] for step in sorted(trial.intermediate_values)] for trial in whole]
        return cls([trial.params for trial in whole], values, space)

    @classmethod
    def of_file(cls, path: Path, space: Space) -> Curves:
        with path.open(newline="") as file:
            rows = [[float(cell) for cell in row] for row in list(csv.reader(file))[1:]]
        points = [dict(zip(space, row, strict=False)) for row in rows]
        return cls(points, [row[len(space) :] for row in rows], space)

    def write(self, path: Path) -> None:
        """Write what `of_file` reads: the parameters, then the value of each epoch."""
        header = [*self.space, *(f"epoch_{epoch}" for epoch in range(1, self.epochs + 1))]
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for point, curve in zip(self.points, self._curves, strict=True):
                writer.writerow([f"{value:.6g}" for value in (*(point[name] for name in self.space), *curve)])

    def __len__(self) -> int:
        return len(self._curves)

    def _place(self, params: dict[str, float]) -> list[float]:
        place = []
        for name, distribution in self.space.items():
            assert isinstance(distribution, FloatDistribution)
            low, high, value = distribution.low, distribution.high, params[name]
            if distribution.log:
                low, high, value = math.log(low), math.log(high), math.log(value)
            place.append((value - low) / (high - low))
        return place

    def at(self, params: dict[str, float], rng: np.random.Generator) -> list[float]:
        distances = np.linalg.norm(self._places - np.array(self._place(params)), axis=1)
        nearest = np.argsort(distances)[:NEIGHBOURS]
        weights = 1 / (distances[nearest] + 1e-3)
        return self._curves[int(rng.choice(nearest, p=weights / weights.sum()))]


def replay(curves: Curves, settings: SweeperSettings, n_trials: int, seed: int) -> Outcome:
    """Run one study on the recorded curves."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize", pruner=build_pruner(settings))
    for params in settings.enqueue:
        study.enqueue_trial(dict(params))
    spent, best, reached = 0, -math.inf, []
    for number in range(n_trials):
        study.sampler = build_sampler(settings, number)
        trial = study.ask(dict(curves.space))
        curve, pruned = curves.at(trial.params, rng), False
        enqueued = number < len(settings.enqueue)  # such a trial is never pruned by comparison
        for epoch, value in enumerate(curve, start=1):
            spent += 1
            trial.report(value, epoch)
            if trial.should_prune() and epoch < len(curve) and not enqueued:
                pruned = True
                break
        if pruned:
            study.tell(trial, state=TrialState.PRUNED)
            continue
        study.tell(trial, max(curve))
        best = max(best, max(curve))
        reached.append((spent, best))
    return Outcome(best, spent, tuple(reached))


def space_of(preset: str) -> Space:
    """Return what the preset searches."""
    with initialize_config_dir(str(conf_dir()), **version_words()):
        config = compose("train", [f"search={preset}"], return_hydra_config=True)
    return dict(parse_space([], config.hydra.sweeper.params).distributions)


def settings_of(preset: str, sampler: str, pruner: str, seed: int) -> SweeperSettings:
    """Compose the preset with another sampler and pruner, as a user would on the command line."""
    words = [f"search={preset}", f"hydra/sweeper/sampler={sampler}", f"hydra/sweeper/pruner={pruner}"]
    config = compose("train", [*words, f"hydra.sweeper.seed={seed}"], return_hydra_config=True)
    keys = {key: value for key, value in config.hydra.sweeper.items() if key not in ("_target_", "_recursive_")}
    return SweeperSettings.from_config(keys)


def cell(values: Sequence[float], digits: int) -> str:
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=_CURVES, help="what --write wrote")
    parser.add_argument("--study", type=Path, help="folder of a study whose trials all ran to their end, instead")
    parser.add_argument("--write", type=Path, help="write the curves of --study there")
    parser.add_argument("--preset", default="mask_head")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=50)
    arguments = parser.parse_args()
    register_schema()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = space_of(arguments.preset)
    curves = Curves.of_study(arguments.study, space) if arguments.study else Curves.of_file(arguments.curves, space)
    if arguments.write:
        curves.write(arguments.write)
    print(
        f"{len(curves)} recorded curves of {curves.epochs} epochs; {arguments.trials} trials, {arguments.seeds} seeds"
    )
    print(
        "| study | best | epochs | compute | epochs to target | compute to target | missed |\n"
        "|---|---|---|---|---|---|---|"
    )
    full = arguments.trials * curves.epochs
    target = math.nan
    for name, sampler, pruner in METHODS:
        with initialize_config_dir(str(conf_dir()), **version_words()):
            settings = [settings_of(arguments.preset, sampler, pruner, seed) for seed in range(arguments.seeds)]
        outcomes = [replay(curves, each, arguments.trials, seed) for seed, each in enumerate(settings)]
        bests = [outcome.best for outcome in outcomes]
        if math.isnan(target):
            target = statistics.mean(bests) - statistics.stdev(bests)
        to_target = [outcome.epochs_to(target) for outcome in outcomes]
        counted = [
            outcome.epochs if epochs is None else epochs for outcome, epochs in zip(outcomes, to_target, strict=True)
        ]
        spent = [outcome.epochs for outcome in outcomes]
        shares = [f"1/{full / statistics.mean(each):.2f}" for each in (spent, counted)]
        cells = [name, cell(bests, 4), cell(spent, 0), shares[0], cell(counted, 0), shares[1], to_target.count(None)]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
