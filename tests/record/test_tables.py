"""Tables as plain text."""

from __future__ import annotations

import math

from maskrcnn_exp.data.target import DatasetSummary
from maskrcnn_exp.engine.coco_ap import CocoResult
from maskrcnn_exp.record.tables import GroupRow, groups_table, metrics_table, summary_lines
from maskrcnn_exp.record.tags import COCO_METRICS


def test_groups_table_shows_rate_and_limit_of_each_group() -> None:
    rows = [
        GroupRow("backbone/decay", 53, 23_454_912, lr=0.0005, weight_decay=1e-4, clip=10.0),
        GroupRow("mask/no_decay", 6, 1_537, lr=0.05, weight_decay=0.0, clip=math.inf),
        GroupRow("rpn/decay", 3, 593_935, lr=0.0, weight_decay=1e-4, clip=None),
    ]
    assert groups_table(rows) == "\n".join(
        [
            "group           tensors  parameters      lr  weight decay      clip",
            "backbone/decay       53  23,454,912  0.0005        0.0001        10",
            "mask/no_decay         6       1,537    0.05             0  log only",
            "rpn/decay             3     593,935       0        0.0001      none",
            "total                62  24,050,384",
        ]
    )


def test_metrics_table_puts_boxes_and_masks_side_by_side() -> None:
    bbox = dict.fromkeys(COCO_METRICS, 0.5)
    segm = dict.fromkeys(COCO_METRICS, 0.25) | {"APs": -1.0}
    lines = metrics_table(CocoResult(bbox, segm, 100, bbox, segm)).splitlines()
    assert len(lines) == 13
    assert lines[0] == "         bbox    segm"
    assert lines[1] == "AP     0.5000  0.2500"
    assert lines[4] == "APs    0.5000     n/a"
    assert lines[9] == "AR100  0.5000  0.2500"


def test_metrics_table_shows_cocos_own_limit_beside_a_wider_one() -> None:
    wide = dict.fromkeys(COCO_METRICS, 0.75)
    standard = dict.fromkeys(COCO_METRICS, 0.5)
    lines = metrics_table(CocoResult(wide, wide, 300, standard, standard)).splitlines()
    assert lines[0].split() == ["bbox@300", "segm@300", "bbox@100", "segm@100"]
    assert lines[1].split() == ["AP", "0.7500", "0.7500", "0.5000", "0.5000"]


def test_summary_says_what_was_left_out_and_why() -> None:
    summary = DatasetSummary(
        images=32,
        instances=278,
        negatives=2,
        crowd=4,
        max_objects=27,
        left_out={
            "mask without a pixel": [str(number) for number in range(1, 18)],
            "picture file absent": ["000042.jpg"],
        },
        notes=("2 grey pictures are read as RGB.",),
    )
    assert summary_lines(summary, "train") == [
        "train: 32 pictures (2 without an instance), 278 instances, at most 27 in one picture, 4 crowd regions",
        "   left out 17: mask without a pixel: 1, 2, 3, 4, 5 … and 12 more",
        "   left out 1: picture file absent: 000042.jpg",
        "   2 grey pictures are read as RGB.",
    ]
