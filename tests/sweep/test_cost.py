"""What the sweep itself costs: time that workers wait, and time that a trial takes beyond its training."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial

from tests.sweep.sweeps import MULT, folder_of, starts_of, sweep, trials_of

pytestmark = pytest.mark.slow


def seconds(trial: FrozenTrial) -> float:
    assert trial.duration is not None
    return trial.duration.total_seconds()


def idle_share(trials: list[FrozenTrial], n_jobs: int) -> float:
    """Return the share of the workers' time without a trial, from the first start to the last start.

    What follows the last start is no waiting: no trial is left.
    """
    starts = [trial.datetime_start.timestamp() for trial in trials if trial.datetime_start]
    ends = [trial.datetime_complete.timestamp() for trial in trials if trial.datetime_complete]
    first, last = min(starts), max(starts)
    busy = sum(max(0.0, min(end, last) - start) for start, end in zip(starts, ends, strict=True))
    return 1 - busy / (n_jobs * (last - first))


def test_two_workers_wait_less_than_a_tenth_of_their_time_with_trials_of_very_different_length(tmp_path: Path) -> None:
    done = sweep(
        tmp_path,
        "lr.mask_mult=choice(1.0, 1.5, 2.0, 2.5, 10.0, 12.0, 14.0)",
        "hydra/sweeper/sampler=random",
        "hydra.sweeper.seed=5",
        "hydra.sweeper.n_trials=16",
        "hydra.sweeper.n_jobs=2",
        "slower=4",
        "epochs=5",
        "epoch_seconds=0.25",
    )
    assert done.returncode == 0, done.stdout
    trials = trials_of(tmp_path)
    lengths = sorted(seconds(trial) for trial in trials)
    share = idle_share(trials, n_jobs=2)
    print(f"idle share of two workers: {share:.1%}; trials took {lengths[0]:.1f} to {lengths[-1]:.1f} s")
    assert lengths[-1] > 3 * lengths[0]  # else this shows nothing
    assert share < 0.1


def test_a_trial_costs_little_beyond_its_training(tmp_path: Path) -> None:
    """Without epochs' sleep, what remains of a trial is Hydra, the record, the journal and the sampler."""
    n_trials = 30
    done = sweep(tmp_path, MULT, f"hydra.sweeper.n_trials={n_trials}", "epochs=1", "epoch_seconds=0.0")
    assert done.returncode == 0, done.stdout
    starts = sorted(trial.datetime_start.timestamp() for trial in trials_of(tmp_path) if trial.datetime_start)
    between = [1000 * (later - earlier) for earlier, later in itertools.pairwise(starts)]
    per_trial = statistics.median(between)
    print(f"a trial of no length takes {per_trial:.0f} ms, {min(between):.0f} to {max(between):.0f}")
    assert [starts_of(tmp_path, number) for number in range(n_trials)] == [[0]] * n_trials
    assert per_trial < 1000  # 2 % of a training of a minute is 1200 ms
    assert (folder_of(tmp_path) / "best.yaml").exists()
