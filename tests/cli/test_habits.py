"""What users of other Hydra projects type by habit."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import run_command
from tests.recipes.conftest import SMALL

REPOSITORY = Path(__file__).parents[2]


def test_shell_completion_installs(tmp_path: Path) -> None:
    done = run_command("train", "-sc", "install=bash", cwd=tmp_path)
    assert done.returncode == 0
    assert "hydra_bash_completion()" in done.stdout
    assert "COMP_LINE" in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("tr", "train"),
        ("train lr.mask_m", "lr.mask_mult="),
        ("train trainer=cpu model=ti", "model=tiny"),
        ("predict images=pict", ""),  # the shell's own files
    ],
)
def test_a_shell_offers_commands_groups_and_keys(tmp_path: Path, typed: str, offered: str) -> None:
    """As Hydra's script does it: the bare program with the whole line in COMP_LINE."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COMP_LINE": f"maskrcnn-exp {typed}"}
    done = subprocess.run(
        [sys.executable, "-m", "maskrcnn_exp", "-sc", "query=bash"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == offered.split(), done.stdout + done.stderr
    assert not done.stderr


@pytest.mark.parametrize("flags", [["--cfg", "job", "--multirun"], ["-m", "-c", "all"]])
def test_showing_a_multirun_is_one_message(tmp_path: Path, flags: list[str]) -> None:
    done = run_command("train", *flags, "lr.mask_mult=1,2", cwd=tmp_path)
    assert done.returncode == 2
    assert "leave out --multirun" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_runs_one_batch_and_says_what_to_type_next(tmp_path: Path) -> None:
    words = [word for word in SMALL if not word.startswith("trainer")]
    done = run_command("train", *words, "trainer=debug", "trainer.accelerator=cpu", "run_dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "trainer.limit_batches=1: a quick look at 1 batches per epoch" in done.stdout
    assert "Epoch 1/1" in done.stdout
    assert f"run: {tmp_path / 'run'}" in done.stdout  # where the outputs are
    (again,) = (line for line in done.stdout.splitlines() if line.startswith("again: "))
    command, typed = shlex.split(again)[:5], shlex.split(again)[5:]
    assert command == ["again:", "python", "-m", "maskrcnn_exp", "train"]
    assert set(typed) == {*words, "trainer=debug", "trainer.accelerator=cpu", "run_dir=run"}
    assert "\x1b" not in done.stdout
