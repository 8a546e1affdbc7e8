"""The command line again, as a person would type it."""

from __future__ import annotations

import shlex

import pytest

from maskrcnn_exp.sweep.command import single_run_command, typed_command


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/somewhere/maskrcnn_exp/__main__.py", "python -m maskrcnn_exp train"),
        ("/usr/bin/maskrcnn-exp", "maskrcnn-exp train"),
        ("my program.py", "python 'my program.py'"),
    ],
)
def test_one_training_is_started_as_the_sweep_was(program: str, expected: str) -> None:
    assert single_run_command([program, "--multirun", "lr.mask_mult=1"]) == expected


def test_what_was_typed_can_be_typed_again() -> None:
    words = ["--multirun", "lr.mask_mult=tag(log, interval(0.1, 30))", "search=mask_head"]
    command = typed_command(["/x/maskrcnn_exp/__main__.py", *words])
    assert shlex.split(command) == ["python", "-m", "maskrcnn_exp", "train", *words]


def test_a_password_is_not_said() -> None:
    word = "hydra.sweeper.storage=postgresql://ana:s3cret@host/studies"
    assert "s3cret" not in typed_command(["/x/maskrcnn_exp/__main__.py", word])
