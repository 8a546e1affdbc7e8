"""The environment record explains a number and gives nobody away."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from maskrcnn_exp.record import environment as room
from maskrcnn_exp.record.environment import environment


def commit(folder: Path) -> None:
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        identity = ["-c", "user.name=x", "-c", "user.email=x@y", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, timeout=20)


def test_versions_machine_and_command_are_named() -> None:
    found = environment({"precision": "32-true"})
    assert found["python"] == platform.python_version()
    packages = found["packages"]
    assert isinstance(packages, dict)
    assert packages["numpy"]
    assert "faster-coco-eval" in packages
    cpu = found["cpu"]
    assert isinstance(cpu, dict)
    assert cpu["cores"] >= cpu["usable_cores"] >= 1
    assert found["precision"] == "32-true"
    json.dumps(found)


def test_no_user_no_host_and_no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "alice"))
    monkeypatch.setenv("SECRET_TOKEN", "hunter2-hunter2")
    monkeypatch.setattr(sys, "argv", [f"{tmp_path}/alice/bin/maskrcnn-exp", f"run_dir={tmp_path}/alice/runs"])
    found = environment()
    assert found["command"] == ["~/bin/maskrcnn-exp", "run_dir=~/runs"]
    text = json.dumps(found)
    assert "alice" not in text
    assert "hunter2" not in text
    for word in (platform.node(), getpass.getuser()):
        assert len(word) < 5 or word not in text  # `root` and the like may stand in other words


def test_passwords_of_urls_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["maskrcnn-exp", "train", "--multirun", "hydra.sweeper.storage=postgresql://me:hunter2@db/study"]
    monkeypatch.setattr(sys, "argv", words)
    assert environment()["command"] == [*words[:3], "hydra.sweeper.storage=postgresql://me:***@db/study"]


def test_commit_and_changes_of_a_checkout_are_told(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "code.py").write_text("x = 1\n")
    commit(tmp_path)
    clean = room._git(package)
    assert clean is not None
    assert len(str(clean["commit"])) == 40
    assert clean["dirty"] is False
    (package / "code.py").write_text("x = 2\n")
    changed = room._git(package)
    assert changed == {"commit": clean["commit"], "dirty": True}


def test_an_installed_package_has_no_commit_even_inside_of_a_checkout(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("venv/\n")
    commit(tmp_path)
    installed = tmp_path / "venv" / "package"
    installed.mkdir(parents=True)
    (installed / "code.py").write_text("x = 1\n")
    assert room._git(installed) is None


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room._git(tmp_path) is None
    monkeypatch.setenv("PATH", os.devnull)
    assert environment()["git"] is None
