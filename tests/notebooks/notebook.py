"""A stored notebook, and what its cells print when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

__all__ = ["NOTEBOOKS", "REPOSITORY", "execute", "outputs", "pictures"]

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def execute(name: str, folder: Path) -> dict[str, Any]:
    """Run a notebook from its first to its last cell in `folder`; return its cells by their names."""
    notebook: Any = nbformat.read(REPOSITORY / "notebooks" / name, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return {cell.id: cell for cell in notebook.cells}


def outputs(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def pictures(cell: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)
