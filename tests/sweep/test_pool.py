"""Worker processes that die before they are workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.sweep.sweeps import APP, _environment

DIES = """
import os

if __name__ == "__mp_main__":
    os.kill(os.getpid(), signal.SIGKILL)  # out of memory while it imports, say

import hydra
"""


def test_a_worker_that_dies_in_its_first_moments_does_not_hang_the_driver(tmp_path: Path) -> None:
    """What a worker is told is more than a pipe holds; nobody reads it then."""
    (tmp_path / "program.py").write_text(APP.read_text().replace("\nimport hydra\n", DIES, 1))
    (tmp_path / "config.yaml").write_text((APP.parent / "config.yaml").read_text())
    words = ["--multirun", "lr.mask_mult=interval(0.1,30)", "hydra.sweeper.study_name=s"]
    result = subprocess.run(
        [sys.executable, "program.py", *words],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 1
    assert "5 workers in a row died at once" in result.stderr
    assert "worker 0 died (SIGKILL), before it could take a trial" in result.stdout
