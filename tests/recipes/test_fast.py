"""`trainer.fast=false` is torchvision's own code, and a training that ends where the fast one ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.rpn import RegionProposalNetwork

from maskrcnn_exp.engine.loop import StepRecord, train_epoch
from maskrcnn_exp.engine.state import TrainState
from maskrcnn_exp.model.gemm_conv import GemmConv2d
from maskrcnn_exp.model.mask_predictor import GemmMaskPredictor
from maskrcnn_exp.model.rpn import FastRegionProposalNetwork
from maskrcnn_exp.optim.in_place import InPlaceAdamW, InPlaceSGD
from maskrcnn_exp.recipes import setup
from maskrcnn_exp.recipes.setup import Data, build_state, fabric_for, open_data
from maskrcnn_exp.schema import TrainerConfig
from tests.recipes.conftest import settings_for

FULL = ("trainer.precision=32-true", "model.backbone_norm=frozen_bn")
"""Float, and norms that do not spread a rounding over the batch."""


def prepared(folder: Path, fast: bool, *overrides: str) -> tuple[TrainState, Data]:
    config, _ = settings_for(folder, *FULL, f"trainer.fast={str(fast).lower()}", *overrides)
    fabric, _ = fabric_for(config.trainer)
    data = open_data(config, fabric)
    state, _ = build_state(config, fabric, data, detections=20, load_weights=False)
    return state, data


def kinds(network: nn.Module) -> set[type[nn.Module]]:
    return {type(module) for module in network.modules()}


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [("adamw", InPlaceAdamW, torch.optim.AdamW), ("sgd", InPlaceSGD, torch.optim.SGD)],
)
def test_fast_decides_whose_classes_are_built(name: str, ours: type, theirs: type, tmp_path: Path) -> None:
    fast, _ = prepared(tmp_path, True, f"optimizer={name}")
    plain, _ = prepared(tmp_path, False, f"optimizer={name}")
    assert {GemmConv2d, GemmMaskPredictor, FastRegionProposalNetwork} <= kinds(fast.network)
    assert not {GemmConv2d, GemmMaskPredictor, FastRegionProposalNetwork} & kinds(plain.network)
    assert {nn.Conv2d, MaskRCNNPredictor, RegionProposalNetwork} <= kinds(plain.network)
    heads = [state.network.roi_heads for state in (fast, plain)]
    assert [(h.fast, h.box_roi_pool.fast, h.mask_roi_pool.fast) for h in heads] == [(True,) * 3, (False,) * 3]
    assert type(fast.optimizer.optimizer) is ours
    assert type(plain.optimizer.optimizer) is theirs
    assert list(fast.network.state_dict()) == list(plain.network.state_dict())


def test_memory_is_kept_on_a_cpu_and_only_where_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(setup, "keep_freed_memory", lambda: calls.append(1))
    fabric_for(TrainerConfig(accelerator="cpu", fast=False))
    assert calls == []
    fabric_for(TrainerConfig(accelerator="cpu", fast=True))
    assert calls == [1]


def weights_of(state: TrainState) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.network.named_parameters()}


def two_steps(folder: Path, fast: bool, *overrides: str) -> tuple[list[StepRecord], dict[str, Tensor], TrainState]:
    """The records of two steps, how far each weight went, and where it is."""
    state, data = prepared(folder, fast, *overrides)
    before = weights_of(state)
    records = list(train_epoch(state, data.batches.epoch(1), total_batches=2, accumulate=1, measure_every=1))
    return records, {name: after - before[name] for name, after in weights_of(state).items()}, state


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_two_steps_are_torchvisions(optimizer: str, tmp_path: Path) -> None:
    words = (f"optimizer={optimizer}", "clip=global")
    records, moved, _ = two_steps(tmp_path, True, *words)
    expected_records, expected_moved, _ = two_steps(tmp_path, False, *words)
    assert len(records) == 2
    for found, expected in zip(records, expected_records, strict=True):
        assert found.losses == pytest.approx(expected.losses, rel=1e-4, abs=1e-6)
        assert found.grad_norm == pytest.approx(expected.grad_norm, rel=1e-3)
        assert found.foreground == expected.foreground
        assert found.indices == expected.indices
    assert moved.keys() == expected_moved.keys()
    for name, way in moved.items():
        # AdamW's first steps are signs: a gradient of nothing but rounding goes either way, a whole step.
        tolerance = 0.02 if optimizer == "sgd" else 0.1
        distance = (way - expected_moved[name]).norm() / expected_moved[name].norm().clamp(min=1e-9)
        assert distance.item() < tolerance, name
