"""What `evaluate` prints of a report, and which setting its sentence names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maskrcnn_exp.engine.boundary import BoundaryAp
from maskrcnn_exp.engine.oracle import MaskApReport, Share
from maskrcnn_exp.engine.tide import ERROR_TYPES, ErrorType, TideErrors
from maskrcnn_exp.record.oracle_table import oracle_lines


def tide(worst: ErrorType) -> TideErrors:
    dap = {kind: 0.2 if kind == worst else 0.01 for kind in ERROR_TYPES}
    return TideErrors(ap50=0.5, dap=dap, counts=dict.fromkeys(ERROR_TYPES, 7))


def report(largest: Share = "mask_head", worst: ErrorType = "missed") -> MaskApReport:
    shares: dict[Share, float] = {"boxes": 0.1, "classes": -0.0001, "mask_head": 0.1, "resolution": 0.1}
    return MaskApReport(
        as_is=0.2,
        ceilings={
            "classes": 0.25,
            "boxes": 0.5,
            "masks": 0.6,
            "masks_and_classes": 0.7,
            "coarse_masks": 0.55,
        },
        at_resolution={14: 0.85, 28: 0.9, 56: 0.95},
        at_double_size=0.93,
        resolution=28,
        shares=shares | {largest: 0.6},
        boundary=BoundaryAp(0.1, 0.3, -1.0),
        tide_bbox=tide(worst),
        tide_segm=tide("localisation"),
    )


def test_the_whole_text() -> None:
    assert "\n".join(oracle_lines(report())) == (
        """\
🔍 What holds mask AP back: 80.0 points are missing
   lost by                      points
   the mask head                  60.0
   the boxes                      10.0
   the resolution of the masks    10.0
   the classes                     0.0
   Most is lost by the mask head, 60.0 points. Look at lr.mask_mult first, then model.mask_head.depth and \
model.mask_loss.
   mask AP as it is                                      0.2000
   with the classes corrected                            0.2500
   with the true boxes given to the mask head            0.5000
   with perfect masks in the detected boxes              0.6000
   with the true boxes and a perfect mask head, 28 × 28  0.9000
   boundary AP 0.1000 (AP50 0.3000, AP75 n/a)
   TIDE: points of AP50 lost by  boxes  masks  errors of boxes  of masks
   classification                  1.0    1.0                7         7
   localisation                    1.0   20.0                7         7
   both                            1.0    1.0                7         7
   duplicate                       1.0    1.0                7         7
   background                      1.0    1.0                7         7
   missed                         20.0    1.0                7         7"""
    )


@pytest.mark.parametrize(
    ("worst", "setting"),
    [
        ("missed", "Most of them miss objects: model.anchor_sizes"),
        ("localisation", "Most of them fit badly: lr.box_mult"),
        ("background", "Most of them show background: lr.box_mult"),
        ("duplicate", "Look at lr.box_mult and lr.rpn_mult."),
    ],
)
def test_lost_boxes_point_to_what_most_of_their_errors_are(worst: ErrorType, setting: str) -> None:
    assert f"Most is lost by the boxes, 60.0 points. {setting}" in "\n".join(oracle_lines(report("boxes", worst)))


def test_lost_classes_point_to_the_box_head() -> None:
    assert "the classes, 60.0 points. The classifier is in the box head" in "\n".join(oracle_lines(report("classes")))


@pytest.mark.parametrize(
    ("at_resolution", "at_double_size", "sentence"),
    [
        ({14: 0.85, 28: 0.9, 56: 0.95}, 0.93, "model.mask_head.resolution=56 could reach 0.9500, where the ceiling is"),
        ({14: 0.95, 28: 0.9, 56: 0.85}, 0.93, "model.mask_head.resolution=14 could reach 0.9500"),
        ({14: 0.85, 28: 0.9, 56: 0.91}, 0.93, "A model.min_size twice as large could reach 0.9300"),
        ({14: 0.85, 28: 0.9, 56: 0.905}, 0.88, "Neither half nor double of it nor larger pictures could reach more."),
    ],
)
def test_a_lost_resolution_points_to_what_was_measured_to_be_better(
    at_resolution: dict[int, float], at_double_size: float, sentence: str
) -> None:
    measured = replace(report("resolution"), at_resolution=at_resolution, at_double_size=at_double_size)
    assert f"the resolution of the masks, 60.0 points. {sentence}" in "\n".join(oracle_lines(measured))


def test_a_perfect_network_lost_nothing() -> None:
    perfect = replace(report(), as_is=1.0, shares=dict.fromkeys(("boxes", "classes", "mask_head", "resolution"), 0.0))
    lines = oracle_lines(perfect)
    assert "0.0 points are missing" in lines[0]
    assert "Nothing is lost." in lines[2]
