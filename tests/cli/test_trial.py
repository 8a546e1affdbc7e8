"""The command hands a study's trial to the training, and what ends it back to the sweeper."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipes.conftest import SMALL

REPOSITORY = Path(__file__).parents[2]

SWEEP = """
import sys
from maskrcnn_exp import hydra_run
from maskrcnn_exp.sweep import trial

class Trial:
    def report(self, epoch, values):
        {report}

trial.set_current_trial(Trial())
try:
    hydra_run.run_hydra(sys.argv[1:])
except BaseException as error:
    print("sweeper got", type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("report", "got"),
    [
        ("return f'{values[\"loss/train_total\"] > 0} after {epoch}'", "sweeper got Pruned True after 1"),
        ("from maskrcnn_exp.errors import Interrupted; raise Interrupted", "sweeper got Interrupted"),
        ("from maskrcnn_exp.errors import DataError; raise DataError('gone')", "sweeper got DataError gone"),
    ],
)
def test_a_trial_of_a_sweep_ends_with_what_ended_it(tmp_path: Path, report: str, got: str) -> None:
    words = ["--multirun", *SMALL, "trainer.limit_batches=1", f"hydra.sweep.dir={tmp_path}/sweep"]
    done = subprocess.run(
        [sys.executable, "-c", SWEEP.format(report=report), *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert got in done.stdout.splitlines() or f"{got} " in done.stdout.splitlines(), done.stdout + done.stderr
    assert done.stdout.count("Epoch 1/2") == 1
    assert "Epoch 2/2" not in done.stdout
