"""The first notebook runs from its first to its last cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn_exp.record.history import History
from tests.notebooks.notebook import REPOSITORY, execute, outputs
from tests.recipes.conftest import SMALL


def test_it_trains_and_shows_the_three_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("FIRST_RUN_OVERRIDES", " ".join(SMALL))
    monkeypatch.setenv("FIRST_RUN_DIR", str(tmp_path / "run"))
    cells = execute("first_run.ipynb", tmp_path)
    assert "Epoch 2/2\n📊 Training Losses:" in outputs(cells["training"])
    total = History.read(tmp_path / "run").last("loss/train_total")
    assert total is not None
    assert f"{total[1]:.4f} after epoch 2" in outputs(cells["reading"])
    for name in ("all-losses", "mask-loss", "training-validation"):
        assert [sorted(output.data) for output in cells[name].outputs] == [["image/png", "text/plain"]], name
