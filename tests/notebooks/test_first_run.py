"""The notebook runs from its first to its last cell, and is stored without what a run leaves in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from maskrcnn_exp.record.history import History
from tests.recipes.conftest import SMALL

REPOSITORY = Path(__file__).parents[2]
NOTEBOOK = REPOSITORY / "notebooks/first_run.ipynb"


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def outputs(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def test_it_is_stored_without_outputs_and_noise() -> None:
    notebook = read()
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}  # no version of somebody's Python
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), cell.id


def test_it_trains_and_shows_the_three_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("FIRST_RUN_OVERRIDES", " ".join(SMALL))
    monkeypatch.setenv("FIRST_RUN_DIR", str(tmp_path / "run"))
    notebook = read()
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = {cell.id: cell for cell in notebook.cells}
    assert "Epoch 2/2\n📊 Training Losses:" in outputs(cells["training"])
    total = History.read(tmp_path / "run").last("loss/train_total")
    assert total is not None
    assert f"{total[1]:.4f} after epoch 2" in outputs(cells["reading"])
    for name in ("all-losses", "mask-loss", "training-validation"):
        assert [sorted(output.data) for output in cells[name].outputs] == [["image/png", "text/plain"]], name
