"""The notebook that lays runs beside each other, on records without their trainings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_exp.record.event_file import EventFile
from tests.compare.runs import write_run
from tests.notebooks.notebook import REPOSITORY, execute, outputs, pictures


def test_it_draws_losses_against_the_multiplier_the_views_and_the_suspects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, mask_mult in enumerate((0.1, 1.0, 10.0)):
        run = write_run(tmp_path / f"study/{place}", 0.3 + 0.1 * place, mask_mult=mask_mult)
        (run / "suspects.json").write_text(json.dumps({"suspects": [{"file_name": "0031.png"}][: place + 1]}))
    best = EventFile.resume(run, next(run.glob("events.out.tfevents.*")).stat().st_size, run)
    best.image("suspects/worst", np.zeros((8, 8, 3), np.uint8), 3)
    best.close()
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("COMPARE_RUNS", "study")
    cells = execute("compare_runs.ipynb", tmp_path)
    printed = outputs(cells["comparing"])
    assert printed.splitlines()[1].split()[:2] == ["2", "10"]  # the best one first, with its multiplier
    for name in ("losses-multiplier", "all-losses", "mask-loss", "training-validation", "worst-pictures"):
        assert pictures(cells[name]) == 1, name
    assert outputs(cells["suspects"]) == "0031.png: named by 3 of 3 runs\n"
    assert outputs(cells["worst-pictures"]) == "2 suspects/worst\n"
