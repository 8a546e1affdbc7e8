"""Studies that are hurt from outside: many workers, a server that crashes, two commands at once, signals, clocks."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from maskrcnn_exp.sweep import attrs
from tests.sweep.postgresql import Server
from tests.sweep.sweeps import MULT, folder_of, start_sweep, starts_of, sweep, trials_of, wait_until
from tests.sweep.test_kills import workers_of

pytestmark = pytest.mark.timeout(3600)

EPOCHS = 6
KINDS = ["journal", "postgresql"]


def words_for(url: str | None, n_trials: int, n_jobs: int, *words: str) -> tuple[str, ...]:
    storage = [] if url is None else [f"hydra.sweeper.storage='{url}'"]
    sizes = (f"hydra.sweeper.n_trials={n_trials}", f"hydra.sweeper.n_jobs={n_jobs}", f"epochs={EPOCHS}")
    return (MULT, *storage, *sizes, *words)


def url_of(kind: str, request: pytest.FixtureRequest) -> str | None:
    if kind == "journal":
        return None
    server: Server = request.getfixturevalue("postgresql")
    return server.new_database()


def finished(cwd: Path, url: str | None) -> dict[int, tuple[str, float | None]]:
    return {trial.number: (trial.state.name, trial.value) for trial in trials_of(cwd, url) if trial.state.is_finished()}


def check_whole(cwd: Path, url: str | None, n_trials: int, *, starts: list[list[int]] | None = None) -> None:
    """Each number once, each point once, each trained to its end, each value that of its own training."""
    trials = trials_of(cwd, url)
    assert [(trial.number, trial.state.name) for trial in trials] == [(n, "COMPLETE") for n in range(n_trials)]
    assert len({trial.params["lr.mask_mult"] for trial in trials}) == n_trials
    for trial in trials:
        state = json.loads((folder_of(cwd) / str(trial.number) / "state.json").read_text())
        assert len(state["epochs"]) == EPOCHS
        assert trial.value == pytest.approx(max(state["epochs"]))
    if starts is not None:
        assert [starts_of(cwd, number) for number in range(n_trials)] == starts


def started_trials(cwd: Path) -> int:
    return len(list(folder_of(cwd).glob("[0-9]*/state.json")))


@pytest.mark.torture
def test_sixteen_workers_on_one_server_share_a_study(postgresql: Server, tmp_path: Path) -> None:
    """Its short form, and the journal's: `test_eight_workers_at_once_share_one_study`."""
    url = postgresql.new_database()
    done = sweep(tmp_path, *words_for(url, 100, 16, "epoch_seconds=0.5"), timeout_seconds=3000)
    assert done.returncode == 0, done.stdout
    check_whole(tmp_path, url, 100, starts=[[0]] * 100)
    workers = {trial.user_attrs[attrs.LEASE] for trial in trials_of(tmp_path, url)}
    print(f"100 trials by {len(workers)} workers")
    assert len(workers) >= 12  # on a slow machine the first are through before the last has started


@pytest.mark.parametrize(
    ("crashes", "n_trials", "n_jobs"),
    [
        pytest.param(1, 4, 2, marks=pytest.mark.slow, id="short"),
        pytest.param(6, 24, 4, marks=pytest.mark.torture, id="long"),
    ],
)
def test_a_server_that_crashes_loses_and_repeats_nothing(
    crashes: int, n_trials: int, n_jobs: int, postgresql: Server, tmp_path: Path
) -> None:
    """No trial starts twice: neither worker nor driver dies over it."""
    url, rng = postgresql.new_database(), random.Random(11)
    words = words_for(url, n_trials, n_jobs, "epoch_seconds=0.3", "hydra.sweeper.grace_seconds=60")
    driver = start_sweep(tmp_path, *words)
    seen: dict[int, tuple[str, float | None]] = {}
    away = []
    for _ in range(crashes):
        begun = started_trials(tmp_path)
        wait_until(lambda begun=begun: started_trials(tmp_path) > begun or driver.poll() is not None, 600)  # type: ignore[misc]
        if driver.poll() is not None:
            break
        time.sleep(rng.uniform(0, 1.5))  # some in an epoch, some between trials
        seen |= finished(tmp_path, url)
        postgresql.stop("immediate")
        away.append(rng.uniform(0, 5))
        time.sleep(away[-1])
        postgresql.start()
        now = finished(tmp_path, url)
        assert {number: now.get(number) for number in seen} == seen
    said, _ = driver.communicate(timeout=1200)
    assert driver.returncode == 0, said
    check_whole(tmp_path, url, n_trials, starts=[[0]] * n_trials)
    assert not any(attrs.DEATHS in trial.user_attrs for trial in trials_of(tmp_path, url))
    print(f"{len(away)} crashes, away for {', '.join(f'{seconds:.1f}' for seconds in away)} s; {n_trials} trials")
    assert len(away) >= min(crashes, 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("n_trials", "n_jobs"),
    [pytest.param(4, 1, marks=pytest.mark.slow, id="short"), pytest.param(40, 4, marks=pytest.mark.torture, id="long")],
)
def test_the_same_command_typed_twice_makes_one_study(
    n_trials: int, n_jobs: int, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = url_of(kind, request)
    words = words_for(url, n_trials, n_jobs, "epoch_seconds=0.2")
    drivers = [start_sweep(tmp_path, *words) for _ in range(2)]
    for driver in drivers:
        said, _ = driver.communicate(timeout=1200)
        assert driver.returncode == 0, said
        assert f"{n_trials} trials finished ({n_trials} completed)" in said
    check_whole(tmp_path, url, n_trials, starts=[[0]] * n_trials)


def signalled(cwd: Path, words: tuple[str, ...], numbers: list[signal.Signals]) -> str:
    """Start a sweep, give its driver these signals in the middle of a trial, and return what it said."""
    before = started_trials(cwd)
    driver = start_sweep(cwd, *words)
    wait_until(lambda: started_trials(cwd) > before or driver.poll() is not None, 600, "a trial that has an epoch")
    workers = workers_of(driver.pid)
    for number in numbers:
        os.kill(driver.pid, number)
        time.sleep(0.05)
    said = _ended(driver)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 60, "the workers' end")
    assert workers, said
    return said


def _ended(driver: subprocess.Popen[str]) -> str:
    """Return what an interrupted sweep said. The app raises; our own command makes exit code 130 of it."""
    said, _ = driver.communicate(timeout=300)
    assert "Interrupted" in said.splitlines()[-1], said
    return said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([signal.SIGTERM], marks=pytest.mark.torture, id="SIGTERM"),
        pytest.param([signal.SIGHUP], marks=pytest.mark.torture, id="SIGHUP"),
        pytest.param([signal.SIGUSR1], marks=pytest.mark.torture, id="SIGUSR1"),
        pytest.param([signal.SIGINT], marks=pytest.mark.torture, id="SIGINT"),
        pytest.param([signal.SIGINT, signal.SIGINT], marks=pytest.mark.torture, id="SIGINT-twice"),
    ],
)
def test_a_study_that_gets_a_signal_ends_with_its_workers_and_goes_on(
    numbers: list[signal.Signals], kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = url_of(kind, request)
    words = words_for(url, 3, 2, "epoch_seconds=0.5")
    said = signalled(tmp_path, words, numbers)
    if len(numbers) == 1:
        assert "Go on with: " in said
        states = {trial.state.name for trial in trials_of(tmp_path, url)}
        assert "RUNNING" not in states  # given back, so that nobody has to find out that they are nobody's
    before = finished(tmp_path, url)
    done = sweep(tmp_path, *words, timeout_seconds=900)
    assert done.returncode == 0, done.stdout
    check_whole(tmp_path, url, 3)
    after = finished(tmp_path, url)
    assert {number: after[number] for number in before} == before
    assert max(map(len, (starts_of(tmp_path, number) for number in range(3)))) >= 2  # one did go on


def clock_library(folder: Path) -> Path:
    """Compile the library that moves the wall clock."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for a clock that jumps")
    built = folder / "shifted_clock.so"
    source = Path(__file__).with_name("shifted_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(built), str(source)], check=True)
    return built


def set_clock(file: Path, hours: float) -> None:
    written = file.with_suffix(".new")
    written.write_text(f"{hours * 3600:.0f}\n")
    written.rename(file)


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_jumps_by_an_hour_kills_no_worker(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a clock that is set jumps: the wall clock alone. Its short form is a test of `Watch`, in test_presence.py."""
    library = clock_library(tmp_path)
    url, clock = url_of(kind, request), tmp_path / "clock"
    set_clock(clock, 0)
    for name, value in {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(clock)}.items():
        monkeypatch.setenv(name, value)
    driver = start_sweep(tmp_path, *words_for(url, 6, 2, "epoch_seconds=1", "hydra.sweeper.grace_seconds=10"))
    jumps = 0
    while driver.poll() is None and jumps < 40:
        wait_until(lambda: started_trials(tmp_path) > 0 or driver.poll() is not None, 600)
        set_clock(clock, (1, -1)[jumps % 2])
        jumps += 1
        time.sleep(3)
    said, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, said
    monkeypatch.undo()
    check_whole(tmp_path, url, 6, starts=[[0]] * 6)
    starts = [trial.datetime_start for trial in trials_of(tmp_path, url) if trial.datetime_start is not None]
    assert (max(starts) - min(starts)).total_seconds() > 1800  # the clock did jump
    print(f"{kind}: {jumps} jumps of two hours")
