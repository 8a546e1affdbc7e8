"""How far a checkpoint got, without torch and without running what the file says."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from maskrcnn_exp.engine.checkpoint import Checkpoint, write_checkpoint
from maskrcnn_exp.engine.checkpoint_peek import read_progress
from maskrcnn_exp.errors import CheckpointError

REPOSITORY = Path(__file__).parents[2]
PROGRESS = {"step": 42, "epoch": 3, "batch": 2, "best_value": 0.25, "best_epoch": 1, "evals_since_best": 1}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    checkpoint = Checkpoint(
        model={"weight": torch.ones(3), "count": torch.tensor(1), "half": torch.ones(2, dtype=torch.bfloat16)},
        optimizer={"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        ema=None,
        groups=[["mask/decay", ["weight"]]],
        progress=PROGRESS,
        meter={},
        record_offset=7,
        categories=[[1, "cell"]],
        detections_per_image=100,
        config="",
        overrides=[],
    )
    write_checkpoint(tmp_path / "last.pt", checkpoint)
    return tmp_path / "last.pt"


def test_the_progress_is_what_was_written(path: Path) -> None:
    assert read_progress(path) == PROGRESS


def test_it_does_not_import_torch(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from maskrcnn_exp.engine.checkpoint_peek import read_progress;"
        f"read_progress(Path({str(path)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


class _Evil:
    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.touched),)


def test_a_checkpoint_from_a_stranger_runs_no_code(tmp_path: Path) -> None:
    content = {"progress": PROGRESS, "model": _Evil(tmp_path / "touched")}
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
    assert read_progress(tmp_path / "evil.pt")["step"] == 42
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and no more"])
def test_what_is_no_checkpoint_is_one_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "odd.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"odd\.pt: absent, damaged, or not a checkpoint"):
        read_progress(path)


def test_a_torch_file_without_progress_is_one_error(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "plain.pt")
    with pytest.raises(CheckpointError, match="KeyError"):
        read_progress(tmp_path / "plain.pt")
