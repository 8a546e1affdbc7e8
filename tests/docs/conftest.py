"""A folder in which the commands of the pages find what they name: runs, a study, a data set, pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from maskrcnn_exp.recipes.train import run
from tests.data.coco_files import annotation, image, write_coco
from tests.recipes.conftest import settings_for


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One training of seconds, under every name that a page gives to a run."""
    folder = tmp_path_factory.mktemp("workplace")
    run(*settings_for(folder / "runs/maskrcnn/RUN", "trainer.epochs=1"))
    for name in ("RUN", "multirun/STUDY/0", "multirun/mask_head/0", "multirun/three_rates/0"):
        shutil.copytree(folder / "runs/maskrcnn/RUN", folder / name)
    for name in ("FOLDER/images", "pictures"):
        (folder / name).mkdir(parents=True)
        path = write_coco(folder / name, [image(1), image(2)], [annotation(1, 1), annotation(2, 2)])
    content = path.read_text()
    path.unlink()
    (folder / "FOLDER/images/annotations.json").unlink()
    for name in ("train", "val"):
        (folder / f"{name}.json").write_text(content)
        (folder / "FOLDER/annotations").mkdir(exist_ok=True)
        (folder / f"FOLDER/annotations/instances_{name}.json").write_text(content)
    (folder / "FILE.json").write_text(content)
    losses = ("loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg", "loss_mask")
    rows = [{"iteration": step, "total_loss": 2.5, **dict.fromkeys(losses, 0.5)} for step in (20, 40)]
    (folder / "metrics.json").write_text("\n".join(map(json.dumps, rows)))
    return folder
