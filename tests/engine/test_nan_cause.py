"""Which part is laid a step to that is not finite."""

from __future__ import annotations

import math

import pytest

from maskrcnn_exp.engine.loop import StepRecord
from maskrcnn_exp.engine.nan_cause import parts_at_fault
from maskrcnn_exp.model.parts import LOSSES, PARTS

NAN = math.nan


def step(losses: dict[str, float] | None = None, norms: dict[str, float] | None = None) -> StepRecord:
    return StepRecord(
        step=1,
        losses=dict.fromkeys(LOSSES, 1.0) | (losses or {}),
        total=5.0,
        grad_norm=dict.fromkeys(PARTS, 1.0) | (norms or {}),
        clipped=dict.fromkeys(PARTS, False),
        lr=dict.fromkeys(PARTS, 0.1),
        pictures=4,
        foreground=8,
        mask_pixels={},
        class_hits={},
        update_ratio=None,
        data_seconds=0.0,
        seconds=0.0,
        indices=(),
    )


CALM = [step() for _ in range(5)]
ALL_LOSSES = dict.fromkeys(LOSSES, NAN)


@pytest.mark.parametrize(
    ("steps", "parts"),
    [
        ([*CALM, step({"loss_mask": NAN})], ("mask",)),
        ([*CALM, step({"loss_mask": math.inf, "loss_box_reg": NAN})], ("box", "mask")),
        ([*CALM, step(norms={"mask": NAN, "fpn": NAN, "backbone": NAN})], ("mask",)),
        ([*CALM, step(norms={"fpn": math.inf, "backbone": math.inf})], ("backbone", "fpn")),
        ([*CALM, step({"loss_mask": 40.0}), step(ALL_LOSSES)], ("mask",)),  # 40 times the usual, then all is lost
        ([*CALM, step({"loss_mask": 3.0}), step(ALL_LOSSES)], PARTS),  # 3 times is nothing unusual
        ([step(ALL_LOSSES)], PARTS),
    ],
)
def test_the_part_that_stands_out_is_at_fault_or_all_are(steps: list[StepRecord], parts: tuple[str, ...]) -> None:
    assert parts_at_fault(steps) == parts


def test_weights_name_their_parts() -> None:
    tensors = ["roi_heads.mask_head.0.0.weight", "ema.module.backbone.fpn.inner_blocks.0.0.bias"]
    assert parts_at_fault([*CALM], tensors) == ("fpn", "mask")
