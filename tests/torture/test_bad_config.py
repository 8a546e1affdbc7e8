"""Everything that is wrong with a command line, in one message, exit code 2, before any data is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import run_command

WRONG = {
    "seed=abc": "seed: Value 'abc'",
    "lr.bse=1": "unknown key lr.bse. Did you mean lr.base?",
    "trainer.epochs=-1": "trainer.epochs=-1 must be",
    "optimizer=sgdd": "optimizer=sgdd: no such choice. Did you mean sgd?",
    "nonsense=1": "unknown config group or key nonsense",
    "clip=per_part": "",
    "clip.mask=0": "clip.mask=0 must be",
    "trainer.batch_size=nan": "trainer.batch_size: Value 'nan'",
    "augment.scale_min=2": "augment.scale_max=1 must be ≥ augment.scale_min",
    "schedule.warmup_steps=-3": "schedule.warmup_steps=-3 must be",
    "dataset=coco": "",
    "dataset.root=nowhere": "dataset.root=nowhere must be an existing path",
}
"""A word, and what is said of it; nothing of what is right."""


def test_wrong_types_values_keys_and_groups_are_told_at_once(tmp_path: Path) -> None:
    result = run_command("train", *WRONG, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    said = [words for words in WRONG.values() if words]
    missing = [words for words in said if words not in result.stderr]
    assert not missing, result.stderr
    assert f"Config error: {len(said)} problems in the configuration" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize("word", [word for word, said in WRONG.items() if said and "." not in word])
def test_one_wrong_word_is_one_line(word: str, tmp_path: Path) -> None:
    result = run_command("train", word, cwd=tmp_path)
    assert (result.returncode, result.stderr.startswith(f"Config error: {WRONG[word]}")) == (2, True), result.stderr


def test_it_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "maskrcnn_exp", "train", *WRONG]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}
    assert "maskrcnn_exp.config_check" in imported
    assert not imported & {"torch", "torchvision", "numpy", "PIL", "tensorboard"}


@pytest.mark.torture
def test_it_takes_two_seconds_of_processor_time_at_most(tmp_path: Path) -> None:
    """Not of the clock's: the machine may have other work. It counts what waits for memory with another, though."""
    before = os.times()
    run_command("train", *WRONG, cwd=tmp_path)
    after = os.times()
    taken = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{len(WRONG)} words, {taken:.2f} s")
    assert taken < 2
