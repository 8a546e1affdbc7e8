"""kill -9 at random moments, and many processes at once: no finished trial lost, none twice, exactly n_trials."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from maskrcnn_exp.sweep import attrs
from tests.sweep.sweeps import MULT, folder_of, start_sweep, starts_of, sweep, trials_of

KILLS = 50
FIRST_TRIALS, MORE_TRIALS = 24, 8
"""A study that is over before its kills are, on a fast machine, is asked for more trials, as a user may."""


def workers_of(driver: int) -> list[int]:
    """Return the process ids of a driver's workers, those that are only starting included."""
    try:
        children = Path(f"/proc/{driver}/task/{driver}/children").read_text().split()
        return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except FileNotFoundError:
        return []


def finished(cwd: Path, url: str | None) -> dict[int, tuple[str, float | None]]:
    return {trial.number: (trial.state.name, trial.value) for trial in trials_of(cwd, url) if trial.state.is_finished()}


def n_trials_word(n_trials: int) -> str:
    return f"hydra.sweeper.n_trials={n_trials}"


def kill_at_random(cwd: Path, words: tuple[str, ...], url: str | None, rng: random.Random) -> tuple[list[str], int]:
    """Kill workers and drivers of a study until it has seen enough; check after each that no result changed.

    Returns what was killed, and how many trials the study was asked for in the end.
    """
    n_trials = FIRST_TRIALS
    driver: subprocess.Popen[str] | None = None
    seen: dict[int, tuple[str, float | None]] = {}
    killed: list[str] = []
    while len(killed) < KILLS:
        if driver is not None and driver.poll() is not None:
            said, _ = driver.communicate(timeout=60)
            if driver.returncode == 0:
                n_trials += MORE_TRIALS
            else:  # on a slow machine five kills in a row may hit workers that are only starting
                assert "5 workers in a row died at once" in said, said
            driver = None
        if driver is None:
            driver = start_sweep(cwd, *words, n_trials_word(n_trials))
        time.sleep(rng.uniform(0.1, 2.0))
        workers = workers_of(driver.pid) if rng.random() < 0.75 else [driver.pid]
        if not workers:  # none is started yet
            continue
        victim = rng.choice(workers)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed.append("driver" if victim == driver.pid else "worker")
        if victim == driver.pid:
            driver.communicate(timeout=60)  # its workers hold the pipe until they are gone too
            driver = None
        now = finished(cwd, url) if folder_of(cwd).exists() else {}
        assert {number: now.get(number) for number in seen} == seen
        seen = now
    if driver is not None:
        driver.kill()
        driver.communicate(timeout=60)
    return killed, n_trials


def check_whole(cwd: Path, url: str | None, n_trials: int) -> None:
    trials = trials_of(cwd, url)
    assert [trial.number for trial in trials] == list(range(n_trials))
    assert len({trial.params["lr.mask_mult"] for trial in trials}) == n_trials
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    # The study gives a trial up whose workers die five times before a new epoch; a slow start is killed as often.
    given_up = [trial.user_attrs[attrs.REASON] for trial in trials if trial.state.name == "FAIL"]
    assert all("died 5 times in a row without a new epoch" in reason for reason in given_up), given_up
    assert len(given_up) <= 1
    assert len(complete) + len(given_up) == n_trials
    for trial in complete:
        starts = starts_of(cwd, trial.number)
        assert starts == sorted(starts)  # each start went on at least where the one before began
        state = json.loads((folder_of(cwd) / str(trial.number) / "state.json").read_text())
        assert len(state["epochs"]) == 6  # the whole training, whoever did it
        assert trial.value == pytest.approx(max(state["epochs"]))  # a record's numbers are float32


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["journal", "postgresql"])
def test_fifty_kills_at_random_moments_lose_and_repeat_nothing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = None if kind == "journal" else request.getfixturevalue("postgresql").new_database()
    words = (
        MULT,
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.seed=0",
        "epochs=6",
        "epoch_seconds=0.25",
        *([] if url is None else [f"hydra.sweeper.storage='{url}'"]),
    )
    killed, n_trials = kill_at_random(tmp_path, words, url, random.Random(7))
    before = finished(tmp_path, url)
    done = sweep(tmp_path, *words, n_trials_word(n_trials), timeout_seconds=240)
    assert done.returncode == 0, done.stdout
    check_whole(tmp_path, url, n_trials)
    after = finished(tmp_path, url)
    assert {number: after[number] for number in before} == before
    resumed = sum(len(starts_of(tmp_path, number)) - 1 for number in range(n_trials))
    print(
        f"{kind}: {killed.count('worker')} workers and {killed.count('driver')} drivers killed, "
        f"{len(before)} of {n_trials} trials finished by then, {resumed} times a trial went on in another process"
    )
    assert killed.count("driver") >= 5
    assert resumed >= 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["journal", "postgresql"])
def test_eight_workers_at_once_share_one_study(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = None if kind == "journal" else request.getfixturevalue("postgresql").new_database()
    storage = [] if url is None else [f"hydra.sweeper.storage='{url}'"]
    done = sweep(tmp_path, MULT, *storage, "hydra.sweeper.n_trials=40", "hydra.sweeper.n_jobs=8", "epoch_seconds=0.1")
    assert done.returncode == 0, done.stdout
    trials = trials_of(tmp_path, url)
    assert [(trial.number, trial.state.name) for trial in trials] == [(number, "COMPLETE") for number in range(40)]
    assert [starts_of(tmp_path, number) for number in range(40)] == [[0]] * 40
    assert len({trial.params["lr.mask_mult"] for trial in trials}) == 40
    assert len({trial.user_attrs[attrs.LEASE] for trial in trials}) >= 4


@pytest.mark.slow
def test_eight_commands_at_once_share_one_journal(tmp_path: Path) -> None:
    words = (MULT, "hydra.sweeper.n_trials=40", "epochs=3")
    started = [start_sweep(tmp_path, *words) for _ in range(8)]
    for process in started:
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
        assert "40 trials finished (40 completed)" in said
    assert [starts_of(tmp_path, number) for number in range(40)] == [[0]] * 40
