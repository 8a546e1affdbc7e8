"""Studies on a real PostgreSQL server: many workers, a password that is seen nowhere, a server that restarts."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.storage import StorageAway, StorageSpec
from tests.sweep.postgresql import PASSWORD, Server
from tests.sweep.sweeps import MULT, folder_of, running_workers, start_sweep, starts_of, sweep, trials_of, wait_until


def storage_word(url: str) -> str:
    return f"hydra.sweeper.storage='{url}'"


def states(cwd: Path, url: str) -> list[str]:
    return [trial.state.name for trial in trials_of(cwd, url)]


def files_with_the_password(folder: Path) -> list[Path]:
    """The password's first word is in it however it was encoded, and in nothing else."""
    return [path for path in folder.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]


def test_a_study_on_a_server_never_shows_its_password(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database()
    done = sweep(
        tmp_path,
        MULT,
        storage_word(url),
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.repeat_best=2",
        "hydra.sweeper.report=true",
        "crashes_above=28",
        "hydra.sweeper.max_failure_rate=1.0",  # the sampler may come by there as well
        "hydra.sweeper.enqueue=[{lr.mask_mult: 29.0}]",
    )
    assert done.returncode == 0, done.stdout
    first, *others = states(tmp_path, url)
    assert first == "FAIL"
    assert len(others) == 3
    assert "COMPLETE" in others
    assert "s3cret" not in done.stdout
    assert f"kept in postgresql://ana:***@127.0.0.1:{postgresql.port}" in done.stdout
    assert files_with_the_password(tmp_path) == []
    assert "***" in (folder_of(tmp_path) / "multirun.yaml").read_text()
    assert "***" in (folder_of(tmp_path) / "0" / ".hydra" / "hydra.yaml").read_text()
    assert not (folder_of(tmp_path) / "study.journal").exists()


def test_a_wrong_password_is_one_message_without_it(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database().replace(quote(PASSWORD, safe=""), "wr0ng")
    with pytest.raises(StorageAway, match="password authentication failed") as caught:
        StorageSpec(tmp_path, url).open()
    assert isinstance(caught.value, ConfigError)
    assert "wr0ng" not in str(caught.value)


def test_a_study_is_held_by_one_alone_also_from_another_folder(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database()
    here, there = StorageSpec(tmp_path / "a", url), StorageSpec(tmp_path / "b", url)
    mine, theirs = here.open(), there.open()
    order: list[str] = []

    def wait_for_it() -> None:
        with there.lock(theirs, "s"):
            order.append("second")

    thread = threading.Thread(target=wait_for_it)
    with here.lock(mine, "s"):
        with there.lock(theirs, "another study"):
            pass
        thread.start()
        thread.join(timeout=0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    for storage in (mine, theirs):
        storage.engine.dispose()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_server_that_restarts_in_the_middle_costs_no_trial(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database()
    words = (MULT, storage_word(url), "epochs=10", "epoch_seconds=0.3")
    process = start_sweep(tmp_path, *words, "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2")
    wait_until(lambda: folder_of(tmp_path).exists() and _running_with_epochs(tmp_path, url) == 2)
    for away_seconds in (0.0, 4.0):
        postgresql.stop()
        time.sleep(away_seconds)
        postgresql.start()
        time.sleep(2)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert states(tmp_path, url) == ["COMPLETE"] * 6
    assert [starts_of(tmp_path, number) for number in range(6)] == [[0]] * 6  # nobody died over it
    assert all(attrs.REASON not in trial.user_attrs for trial in trials_of(tmp_path, url))


def _running_with_epochs(cwd: Path, url: str) -> int:
    running, trials = running_workers(cwd, url), trials_of(cwd, url)
    return sum(bool(trials[number].intermediate_values) for number in running)


@pytest.mark.slow
def test_eight_commands_at_once_on_an_empty_database_share_one_study(postgresql: Server, tmp_path: Path) -> None:
    url = postgresql.new_database()
    words = (MULT, storage_word(url), "hydra.sweeper.n_trials=40", "epochs=3")
    started = [start_sweep(tmp_path, *words) for _ in range(8)]
    _check_shared(started, 40)
    assert states(tmp_path, url) == ["COMPLETE"] * 40
    assert [starts_of(tmp_path, number) for number in range(40)] == [[0]] * 40
    assert len({trial.params["lr.mask_mult"] for trial in trials_of(tmp_path, url)}) == 40


def _check_shared(processes: list[subprocess.Popen[str]], n_trials: int) -> None:
    for process in processes:
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
        assert f"{n_trials} trials finished ({n_trials} completed)" in said
