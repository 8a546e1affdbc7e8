"""Precision and recall by score threshold: worked by hand, and counted from another matching."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from maskrcnn_exp.engine.coco_ap import evaluate_coco
from maskrcnn_exp.engine.greedy_matching import find_overlaps, match_greedily
from maskrcnn_exp.engine.pr_curves import ALL, THRESHOLDS, PrCurve
from tests.engine.test_coco_ap import NOWHERE, A, B, found, random_case, truth

C = (0.0, 60.0, 40.0, 100.0)
TWO_THIRDS_OF_A = (8.0, 0.0, 48.0, 40.0)  # see test_coco_ap


def at(curve: PrCurve, threshold: float) -> tuple[float, float, float, float]:
    """Return true and false positives, precision and recall."""
    place = int(np.flatnonzero(THRESHOLDS.round(2) == threshold)[0])
    columns = (curve.true_positives, curve.false_positives, curve.precision, curve.recall)
    return tuple(float(column[place]) for column in columns)  # type: ignore[return-value]


def curve_of(curves: tuple[PrCurve, ...], kind: str, iou_percent: int, name: str = ALL) -> PrCurve:
    (curve,) = [one for one in curves if (one.kind, one.iou_percent, one.name) == (kind, iou_percent, name)]
    return curve


def test_a_miss_between_two_hits_lowers_precision_from_the_score_of_the_second_hit_on() -> None:
    # Scores 0.9 hit, 0.8 miss, 0.7 hit; 3 objects. At 0.9 one of one is right, at 0.7 two of three. The miss alone
    # changes nothing: the precision at a recall of 1/3 is still the best one there.
    ground_truth = truth([(0, 1, A, 0), (0, 1, B, 0), (0, 1, C, 0)])
    curves = evaluate_coco(ground_truth, [found(0, [(A, 1, 0.9), (NOWHERE, 1, 0.8), (B, 1, 0.7)])]).curves
    for kind in ("bbox", "segm"):
        curve = curve_of(curves, kind, 50)
        assert at(curve, 0.91) == (0, 0, 0, 0)
        assert at(curve, 0.9) == (1, 0, 1, pytest.approx(1 / 3))
        assert at(curve, 0.8) == (1, 0, 1, pytest.approx(1 / 3))
        assert at(curve, 0.7) == pytest.approx((2, 1, 2 / 3, 2 / 3))
        assert at(curve, 0.0) == pytest.approx((2, 1, 2 / 3, 2 / 3))
        assert curve.objects == 3


def test_a_box_that_fits_by_two_thirds_is_right_at_50_and_not_at_75() -> None:
    curves = evaluate_coco(truth([(0, 1, A, 0)]), [found(0, [(TWO_THIRDS_OF_A, 1, 0.9)])]).curves
    assert at(curve_of(curves, "segm", 50), 0.5) == (1, 0, 1, 1)
    assert at(curve_of(curves, "segm", 75), 0.5) == (0, 0, 0, 0)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_counts_are_those_of_another_matching(seed: int, kind: Literal["bbox", "segm"]) -> None:
    ground_truth, per_image = random_case(seed, 4, 10, crowd=0.0)
    curves = evaluate_coco(ground_truth, per_image).curves
    pictures = find_overlaps(ground_truth, per_image, kind)
    for iou_percent in (50, 75):
        own = [np.where(one.same_class, one.ious, 0) for one in pictures]
        right = np.concatenate([match_greedily(ious, iou_percent / 100) >= 0 for ious in own])
        scores = np.concatenate([one.found.scores for one in pictures])
        labels = np.concatenate([one.found.labels for one in pictures])
        expected = [np.count_nonzero(right & (scores >= np.float32(threshold))) for threshold in THRESHOLDS]
        assert curve_of(curves, kind, iou_percent).true_positives.tolist() == expected
        for label in (1, 2, 3) if iou_percent == 50 else ():
            curve = curve_of(curves, kind, 50, f"class {label}")
            hits = right & (labels == label)
            expected = [np.count_nonzero(hits & (scores >= np.float32(threshold))) for threshold in THRESHOLDS]
            assert curve.true_positives.tolist() == expected
            wrong = [np.count_nonzero((labels == label) & ~right & (scores >= t)) for t in THRESHOLDS.astype("f4")]
            assert (curve.false_positives <= np.array(wrong) + 1e-9).all()  # the best precision from there on


def test_a_class_without_objects_has_no_curve_and_one_class_has_no_second_one() -> None:
    rows = [(A, 1, 0.9), (B, 2, 0.8)]
    curves = evaluate_coco(truth([(0, 1, A, 0), (0, 2, B, 1)], categories=2), [found(0, rows)]).curves
    assert [(one.kind, one.iou_percent, one.name) for one in curves if one.kind == "segm"] == [
        ("segm", 50, ALL),
        ("segm", 50, "class 1"),  # the other class has nothing but a crowd region
        ("segm", 75, ALL),
    ]
    assert [one.name for one in evaluate_coco(truth([(0, 1, A, 0)]), []).curves] == [ALL] * 4
    assert evaluate_coco(truth([]), [found(0, rows[:1])]).curves == ()


def test_the_ten_most_frequent_of_many_classes_have_a_curve() -> None:
    objects = [(image, label, A, 0) for label in range(1, 13) for image in range(1 if label in (3, 7) else 2)]
    curves = evaluate_coco(truth(objects, images=2, categories=12), []).curves
    shown = [one.name for one in curves if one.kind == "bbox" and one.iou_percent == 50]
    assert shown == [ALL, *(f"class {label}" for label in range(1, 13) if label not in (3, 7))]


def test_more_than_100_detections_count_where_so_many_are_evaluated() -> None:
    boxes = [(float(x), float(y), x + 8.0, y + 8.0) for x in range(0, 150, 10) for y in range(0, 110, 10)][:120]
    ground_truth = truth([(0, 1, box, 0) for box in boxes])
    rows = [(box, 1, 0.9) for box in boxes]
    assert at(curve_of(evaluate_coco(ground_truth, [found(0, rows)]).curves, "bbox", 50), 0.5)[0] == 100
    assert at(curve_of(evaluate_coco(ground_truth, [found(0, rows)], 120).curves, "bbox", 50), 0.5)[0] == 120
