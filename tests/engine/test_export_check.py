"""Two networks' detections held against each other, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from maskrcnn_exp.engine.export_check import Agreement, Found


def found(*boxes: tuple[float, float, float, float], label: int = 1, score: float = 0.9, cells: int = 16) -> Found:
    masks = np.zeros((len(boxes), 1, 8, 8), dtype=np.float32)
    masks[:, 0, : cells // 8] = 0.9
    masks[:, 0, cells // 8, : cells % 8] = 0.9
    count = len(boxes)
    return Found.of(
        np.array(boxes, dtype=np.float32).reshape(count, 4), np.full(count, label), np.full(count, score, "f4"), masks
    )


def compared(ours: Found, theirs: Found) -> Agreement:
    total = Agreement()
    total.add(ours, theirs)
    return total


BOX, FAR = (10.0, 10.0, 20.0, 20.0), (40.0, 40.0, 50.0, 50.0)


def test_the_same_detections_agree_in_any_order() -> None:
    total = compared(found(BOX, FAR), found(FAR, BOX))
    assert (total.detections, total.paired, total.agreeing, total.holds) == (2, 2, 2, True)
    assert (total.box_pixels, total.score, total.mask_iou) == (0, 0, 1)


@pytest.mark.parametrize(
    ("theirs", "paired"),
    [
        (found((10.2, 10, 20, 20)), 1),  # a corner is off by more than 0.1 pixels
        (found(BOX, score=0.898), 1),  # more than 0.001
        (found(BOX, cells=15), 1),  # IoU 15/16
        (found(BOX, label=2), 0),
        (found(FAR), 0),
        (found(), 0),
        (found(BOX, FAR), 1),  # one too many
    ],
)
def test_a_detection_that_differs_is_seen(theirs: Found, paired: int) -> None:
    total = compared(found(BOX), theirs)
    assert (total.paired, total.holds) == (paired, False)


def test_the_largest_differences_are_kept_over_pictures() -> None:
    total = Agreement()
    total.add(found(BOX), found((10.05, 10, 20, 20)))
    total.add(found(BOX), found(BOX, score=0.8995, cells=12))
    assert total.box_pixels == pytest.approx(0.05, abs=1e-5)
    assert total.score == pytest.approx(0.0005, abs=1e-5)
    assert total.mask_iou == 12 / 16
    assert (total.pictures, total.agreeing, total.detections) == (2, 1, 2)


def test_one_detection_in_a_hundred_may_lie_on_a_threshold() -> None:
    boxes = [(20.0 * i, 0.0, 20.0 * i + 10, 10.0) for i in range(100)]
    assert compared(found(*boxes), found(*boxes[:99])).holds
    assert not compared(found(*boxes), found(*boxes[:98])).holds


def test_nothing_on_both_sides_is_said_to_show_nothing() -> None:
    total = compared(found(), found())
    assert total.holds
    assert "shows nothing; images=… or a lower model.score_threshold" in total.line()
