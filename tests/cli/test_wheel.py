"""The built wheel, installed where the checkout is not: configuration included, own groups added."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.recipes.conftest import SMALL

REPOSITORY = Path(__file__).parents[2]

pytest.importorskip("build", reason="the package that builds wheels is not installed")
pytest.importorskip("hatchling", reason="the wheel's build backend is not installed")


def run(*command: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPOSITORY, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_configuration_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    conf = {
        f"maskrcnn_exp/conf/{path.relative_to(REPOSITORY / 'conf')}" for path in (REPOSITORY / "conf").rglob("*.yaml")
    }
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "maskrcnn_exp").rglob("*.py")}
    assert conf
    assert conf | modules <= names
    assert any(name.startswith("hydra_plugins/") for name in names)
    assert not any(name.startswith("tests/") for name in names)


@pytest.mark.slow
def test_the_installed_command_trains_from_any_folder_with_own_groups(wheel: Path, tmp_path: Path) -> None:
    """The dependencies are lent from this environment: downloading torch is not what is tested."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv/bin/python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel, cwd=tmp_path)
    # A folder on a .pth line is searched for modules, and .pth files in it are not read: the checkout stays out.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    place = run(python, "-c", "import maskrcnn_exp; print(maskrcnn_exp.__file__)", cwd=tmp_path)
    assert place.startswith(str(site))
    (tmp_path / "own/lr").mkdir(parents=True)
    (tmp_path / "own/lr/mine.yaml").write_text("# My rates.\ndefaults: [schema_lr, _self_]\nmask_mult: 7.5\n")
    words = [*SMALL, "trainer.epochs=1", "trainer.limit_batches=2", "lr=mine", "run_dir=run"]
    command = [python, "-m", "maskrcnn_exp", "train", "--config-dir", "own", *words]
    said = run(*command, cwd=tmp_path)
    assert "Epoch 1/1" in said
    assert "mask_mult: 7.5" in (tmp_path / "run/.hydra/config.yaml").read_text()
