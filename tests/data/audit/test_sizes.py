"""Objects against the model's geometry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import box_iou

from maskrcnn_exp.data.audit.findings import Findings
from maskrcnn_exp.data.audit.sizes import best_anchor_iou, check_sizes, resolution_iou
from tests.data.audit.audits import GEOMETRY, audit_entries, good, polygon
from tests.data.coco_files import image


def size_findings(tmp_path: Path, *sides: tuple[float, float]) -> dict[str, tuple[object, ...]]:
    """The ids by check of rectangles of these sides in a picture of 160 × 160 pixels, which is not resized."""
    entries = [good(n, segmentation=polygon(0, 0, *side), bbox=[0, 0, *side]) for n, side in enumerate(sides, start=1)]
    split = audit_entries(tmp_path, entries, [image(1, width=160, height=160)]).splits[0]
    findings = Findings("train")
    check_sizes(split, GEOMETRY, findings)
    return {found.check: found.ids for found in findings.found}


def test_objects_that_fit_the_anchors_are_no_finding(tmp_path: Path) -> None:
    assert size_findings(tmp_path, (10, 10), (40, 60), (150, 150)) == {}


def test_objects_too_small_or_too_long_for_every_anchor_are_named(tmp_path: Path) -> None:
    found = size_findings(tmp_path, (3, 5), (40, 40), (160, 5))
    assert found["too-small-for-anchors"] == (1,)
    assert found["too-long-for-anchors"] == (3,)
    assert found["below-feature-cell"] == (1,)


def test_the_scale_is_torchvisions() -> None:
    sizes = np.array([[100, 200], [200, 100], [80, 800]])
    assert GEOMETRY.scales(sizes).tolist() == [1.6, 1.6, 0.4]


def test_smaller_anchors_are_proposed_where_they_help(tmp_path: Path) -> None:
    entries = [good(1, segmentation=polygon(0, 0, 20, 20), bbox=[0, 0, 20, 20])]
    split = audit_entries(tmp_path, entries, [image(1, width=160, height=160)]).splits[0]
    findings = Findings("train")
    check_sizes(split, replace(GEOMETRY, anchor_sizes=(64, 128, 256, 512, 1024)), findings)
    (found,) = [found for found in findings.found if found.check == "too-small-for-anchors"]
    assert found.to_do == "model.anchor_sizes=[32,64,128,256,512] leaves 0 of 1."


@pytest.mark.parametrize("side", [(5.0, 9.0), (33.0, 21.0), (100.0, 12.0)])
def test_the_best_anchor_is_that_of_torchvisions_generator(side: tuple[float, float]) -> None:
    anchors = AnchorGenerator().generate_anchors((8.0, 16.0, 32.0), (0.3, 1.0))  # centred on 0
    box = torch.tensor([[-side[0] / 2, -side[1] / 2, side[0] / 2, side[1] / 2]])
    expected = float(box_iou(box, anchors).max())
    assert best_anchor_iou(np.array([side]), (8, 16, 32), (0.3, 1.0))[0] == pytest.approx(expected)


def test_a_solid_mask_survives_the_resolution_of_the_mask_head_and_a_comb_does_not() -> None:
    solid = np.ones((200, 150), dtype=np.uint8)
    comb = np.zeros((200, 200), dtype=np.uint8)
    comb[:, ::4] = comb[0] = 1
    assert resolution_iou(solid, 28) == 1.0
    assert resolution_iou(comb, 28) < 0.2
    assert resolution_iou(comb, 400) > 0.9


def test_objects_that_lose_their_shape_at_the_mask_heads_resolution_are_named(tmp_path: Path) -> None:
    comb = [part for x in range(0, 160, 8) for part in polygon(x, 0, x + 2, 160)] + polygon(0, 0, 160, 2)
    entries = [good(1, segmentation=comb), good(2, segmentation=[[0, 0, 100, 0, 100, 100]])]
    split = audit_entries(tmp_path, entries, [image(1, width=160, height=160)]).splits[0]
    findings = Findings("train")
    check_sizes(split, GEOMETRY, findings)
    (found,) = [found for found in findings.found if found.check == "mask-resolution"]
    assert found.ids == (1,)
    assert "model.mask_head.resolution=56" in found.to_do
