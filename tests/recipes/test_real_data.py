"""Whole trainings on real pictures: they run, and say what they found. The long ones are in benchmarks/."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.recipes.evaluate import run_words as evaluate
from maskrcnn_exp.recipes.train import RunSettings, run
from maskrcnn_exp.record.history import History
from tests.shared_data import SHARED, needs_shared_data

pytestmark = needs_shared_data

SHORT = (
    "trainer=cpu",
    "trainer.epochs=1",
    "trainer.limit_batches=2",
    "trainer.batch_size=2",
    "trainer.num_workers=0",
    "trainer.log_every_steps=1",
)


def train(folder: Path, *overrides: str) -> History:
    from omegaconf import OmegaConf

    composed = compose([*overrides, *SHORT, f"run_dir={folder}"])
    yaml = OmegaConf.to_yaml(composed, resolve=True)
    run(to_train_config(composed), RunSettings(folder, yaml, (*overrides, *SHORT)))
    return History.read(folder)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["coco_r50_fpn_1x", "coco_r50_fpn_v2"])
def test_published_recipe_runs_dry_on_real_coco_pictures(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but the size is the recipe's: 128 px instead of 800, two batches of two instead of an epoch."""
    history = train(
        tmp_path,
        f"experiment={recipe}",
        f"dataset.root={SHARED / 'coco_mini'}",
        "model.backbone_weights=none",
        "model.min_size=[128]",
        "model.max_size=160",
        "augment.crop_size=" + ("160" if recipe.endswith("v2") else "0"),
    )
    text = capsys.readouterr().out
    assert "validation data: 24 pictures" in text
    assert "crowd regions" in text
    assert len(history.series("loss/val").values) == 1
    assert len(history.series("step/loss_mask").values) == 2


def test_nuclei_with_mobilenet_weights_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures with up to 151 objects: maxDets follows them, says so, and COCO's own number stands beside."""
    history = train(
        tmp_path,
        "experiment=nuclei",
        f"dataset.root={SHARED / 'nuclei'}",
        "model=mobilenet_v2_fpn",
        f"model.backbone_weights={SHARED / 'weights/mobilenet_v2_features.pth'}",
        "model.min_size=[128]",
        "model.max_size=256",
    )
    text = capsys.readouterr().out
    assert "backbone weights from" in text
    assert "maxDets: 151" in text
    assert "at most 151 in one picture" in text
    assert len(history.series("mAP/segm_AP_maxdets100").values) == 1


def test_a_trained_run_is_evaluated_on_other_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, "experiment=nuclei", f"dataset.root={SHARED / 'nuclei'}", "model.min_size=[128]")
    capsys.readouterr()
    val = SHARED / "nuclei/annotations/instances_val.json"
    evaluate([f"checkpoint={tmp_path / 'checkpoints/best.pt'}", f"dataset.train.annotations={val}"])
    text = capsys.readouterr().out
    assert "AP50" in text
    assert "maxDets" not in text  # the fullest validation picture holds 79
    assert "loss_mask: " in text
