"""A whole training on a timm backbone: it trains, goes on where it stopped, and is evaluated from its checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from maskrcnn_exp.recipes.train import run
from tests.commands import run_command
from tests.recipes.conftest import SMALL, settings_for

pytest.importorskip("timm", reason="the optional extra timm is not installed")

BACKBONE = ("model.backbone=timm/resnet10t", "trainer.limit_batches=2")


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "checkpoints/last.pt", weights_only=True)["model"]
    return state


def test_a_resumed_training_has_the_weights_of_one_that_nobody_stopped(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(*settings_for(whole, *BACKBONE))
    config, settings = settings_for(cut, *BACKBONE)
    first = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, stop_after_epoch=1))
    run(first, settings)
    assert any(not torch.equal(one, weights_of(whole)[key]) for key, one in weights_of(cut).items())
    run(config, settings)
    expected = weights_of(whole)
    assert all(torch.equal(one, expected[key]) for key, one in weights_of(cut).items())


def test_the_command_trains_on_weights_from_a_file_and_evaluates(tmp_path: Path) -> None:
    import timm

    torch.save(timm.create_model("convnext_atto").state_dict(), tmp_path / "weights.pth")
    words = ["model.backbone=timm/convnext_atto", "model.backbone_weights=weights.pth", "trainer.limit_batches=1"]
    done = run_command("train", *SMALL, *words, "trainer.epochs=1", "run_dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "backbone weights from weights.pth" in done.stdout
    assert "backbone/decay" in done.stdout
    (tmp_path / "weights.pth").unlink()  # the checkpoint has them
    evaluated = run_command("evaluate", "checkpoint=run/checkpoints/last.pt", "oracle=false", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr


def test_a_mistyped_name_is_one_message(tmp_path: Path) -> None:
    done = run_command("train", *SMALL, "model.backbone=timm/resnet10tt", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean timm/resnet10t" in done.stderr
    assert "Traceback" not in done.stderr
