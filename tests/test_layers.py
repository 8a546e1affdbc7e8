"""The picture of the layers in docs/architecture.md, held against the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "maskrcnn_exp"

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors"}),
    frozenset(
        {
            "schema",
            "stop",
            "heap",
            "override_keys",
            "named_code",
            "data.target",
            "model.parts",
            "record.tags",
            "record.atomic",
        }
    ),
    frozenset({"model", "data"}),
    frozenset({"optim"}),
    frozenset({"engine", "record", "diagnose", "compare"}),
    frozenset(
        {
            "recipes",
            "sweep",
            "compose",
            "config_check",
            "config_errors",
            "config_names",
            "hydra_guard",
            "hydra_version",
            "problems",
        }
    ),
    frozenset({"cli", "cli_help", "completion", "hydra_run", "__main__"}),
)
"""From the bottom. A name of two words is a module that lies lower than its folder."""


def layer_of(module: str) -> int:
    for name in (module, module.split(".")[0]):
        for number, names in enumerate(LAYERS):
            if name in names:
                return number
    raise AssertionError(f"{module} stands in no layer: add it to LAYERS and to docs/architecture.md")


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("maskrcnn_exp."):
            names.add(node.module.removeprefix("maskrcnn_exp."))
    return names


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=[module_of(path) for path in MODULES])
def test_imports_only_go_down(path: Path) -> None:
    module = module_of(path)
    above = [name for name in imports_of(path) if layer_of(name) > layer_of(module)]
    assert not above, f"{module} (layer {layer_of(module)}) imports {above} from above it"


@pytest.mark.parametrize("path", MODULES, ids=[module_of(path) for path in MODULES])
def test_only_the_edges_know_hydra(path: Path) -> None:
    """Parts take plain values: below the recipes only the schema's own missing-value mark comes from omegaconf."""
    module = module_of(path)
    if module.split(".")[0] == "schema" or layer_of(module) >= layer_of("recipes"):
        return
    source = path.read_text()
    assert "import hydra" not in source
    assert "from hydra" not in source
    assert "omegaconf import" not in source


@pytest.mark.parametrize(
    "module",
    [
        "cli",
        "compose",
        "config_check",
        "schema",
        "stop",
        "record.history",
        "record.console",
        "sweep.drive",
        "diagnose.diagnosis",
        "recipes.compare",
    ],
)
def test_what_only_reads_text_does_not_import_torch(module: str) -> None:
    """Importing torch takes seconds."""
    code = f"import sys, maskrcnn_exp.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
