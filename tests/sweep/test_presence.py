"""Who is alive: locks on this machine, heartbeats elsewhere."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from maskrcnn_exp.sweep import presence
from maskrcnn_exp.sweep.presence import Presence, Watch
from maskrcnn_exp.sweep.storage import StorageSpec


@pytest.fixture
def spec(tmp_path: Path) -> StorageSpec:
    spec = StorageSpec(tmp_path)
    optuna.create_study(storage=spec.open(), study_name="s")
    return spec


def _be_there(spec: StorageSpec, told: Any) -> None:
    with Presence(spec, "s", 60) as here:
        told.put(here.name)
        time.sleep(60)


def test_a_worker_is_alive_in_its_context_and_dead_after_it(spec: StorageSpec) -> None:
    watch = Watch(spec.folder, grace_seconds=60)
    with Presence(spec, "s", 60) as here:
        name = here.name
        told = multiprocessing.get_context("spawn").Queue()
        process = multiprocessing.get_context("spawn").Process(target=_ask, args=(spec, name, told))
        process.start()
        assert told.get(timeout=60) is False
        process.join()
    assert watch.is_dead(name, {})


def _ask(spec: StorageSpec, name: str, told: Any) -> None:
    told.put(Watch(spec.folder, grace_seconds=60).is_dead(name, {}))


def test_a_killed_worker_is_dead_at_once(spec: StorageSpec) -> None:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=_be_there, args=(spec, told))
    process.start()
    name = told.get(timeout=60)
    watch = Watch(spec.folder, grace_seconds=60)
    assert not watch.is_dead(name, {})
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert watch.is_dead(name, {})


def test_a_worker_elsewhere_is_dead_when_its_heartbeat_stood_still(
    spec: StorageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(presence.time, "monotonic", lambda: now)
    watch, name = Watch(spec.folder, grace_seconds=60), "elsewhere:boot:1:abc"
    assert not watch.is_dead(name, {"heartbeat/elsewhere:boot:1:abc": 4})
    now = 159.0
    assert not watch.is_dead(name, {"heartbeat/elsewhere:boot:1:abc": 4})
    now = 161.0
    assert watch.is_dead(name, {"heartbeat/elsewhere:boot:1:abc": 4})
    assert not watch.is_dead(name, {"heartbeat/elsewhere:boot:1:abc": 5})  # it only was slow


def _no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize("missing", ["of the system", "of the file system"])
def test_without_locks_a_worker_of_this_machine_is_dead_when_its_heartbeat_stood_still(
    missing: str, spec: StorageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "of the system":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "lockf", _no_locks)
    now = 100.0
    monkeypatch.setattr(presence.time, "monotonic", lambda: now)
    watch, name = Watch(spec.folder, grace_seconds=60), f"{presence._machine()}:1:abc"
    (spec.folder / ".workers").mkdir()
    (spec.folder / ".workers" / "abc").touch()
    assert not watch.is_dead(name, {f"heartbeat/{name}": 4})
    now = 161.0
    assert watch.is_dead(name, {f"heartbeat/{name}": 4})
    assert not watch.is_dead(name, {f"heartbeat/{name}": 5})


def test_a_worker_from_before_a_restart_of_this_machine_is_dead(spec: StorageSpec) -> None:
    host = presence._machine().split(":")[0]
    assert Watch(spec.folder, grace_seconds=60).is_dead(f"{host}:before:1:abc", {})


def test_a_heartbeat_reaches_the_storage(spec: StorageSpec) -> None:
    with Presence(spec, "s", 0.05) as here:
        until = time.monotonic() + 20
        beats: set[object] = set()
        while len(beats) < 3 and time.monotonic() < until:
            study = optuna.load_study(storage=spec.open(), study_name="s")
            beats.add(study.user_attrs.get(f"heartbeat/{here.name}"))
    assert len(beats) >= 3


def test_a_clock_that_is_set_makes_nobody_dead_or_alive(spec: StorageSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an hour, either way: only time that passed counts."""
    passed, wall = 100.0, 1e9
    monkeypatch.setattr(presence.time, "monotonic", lambda: passed)
    monkeypatch.setattr(presence.time, "time", lambda: wall)
    name, watch = "other:1:2:3", Watch(spec.folder, grace_seconds=60)
    for jump in (3600.0, -7200.0, 3600.0):
        wall += jump
        passed += 10
        assert not watch.is_dead(name, {f"heartbeat/{name}": 0})
    passed += 60
    assert watch.is_dead(name, {f"heartbeat/{name}": 0})
