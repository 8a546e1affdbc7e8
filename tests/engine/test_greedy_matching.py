"""Matching and AP outside of COCO's evaluator: its own numbers come out of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from maskrcnn_exp.engine.coco_ap import evaluate_coco
from maskrcnn_exp.engine.greedy_matching import ap_at, average_precision, find_overlaps, match_greedily
from tests.engine.test_coco_ap import A, found, random_case, truth


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize(("instances", "detections", "crowd"), [(4, 10, 0.2), (4, 10, 0.9), (1, 3, 0.0), (4, 0, 0.2)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mean_over_ious_is_the_evaluators_ap(
    seed: int, instances: int, detections: int, crowd: float, kind: Literal["bbox", "segm"]
) -> None:
    ground_truth, per_image = random_case(seed, instances, detections, crowd)
    coco = evaluate_coco(ground_truth, per_image)
    overlaps = find_overlaps(ground_truth, per_image, kind)
    aps = [ap_at(overlaps, threshold) for threshold in np.linspace(0.5, 0.95, 10)]
    expected = coco.bbox if kind == "bbox" else coco.segm
    assert np.mean(aps) == pytest.approx(expected["AP"], abs=1e-12)
    assert aps[0] == pytest.approx(expected["AP50"], abs=1e-12)


def test_no_object_gives_minus_one() -> None:
    assert ap_at(find_overlaps(truth([]), [found(0, [(A, 1, 0.9)])], "segm"), 0.5) == -1


def test_a_taken_object_leaves_the_next_best_one() -> None:
    # The first takes object 0. The second overlaps it more than object 1, and gets object 1. The third is below 0.5.
    ious = np.array([[0.9, 0.6], [0.8, 0.55], [0.4, 0.45]])
    assert match_greedily(ious, 0.5).tolist() == [0, 1, -1]
    assert match_greedily(ious, 0.6).tolist() == [0, -1, -1]


def test_one_false_positive_between_two_hits() -> None:
    # As in test_coco_ap: precision 1 on the 51 recalls up to 0.50, then 2/3.
    scores = np.array([0.7, 0.8, 0.9], dtype=np.float32)
    ap = average_precision(scores, np.array([True, False, True]), objects=2)
    assert ap == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-12)


def test_overlaps_come_by_falling_score_and_crowds_are_no_objects() -> None:
    ground_truth = truth([(0, 1, A, 0), (0, 1, (0, 0, 80, 40), 1), (0, 2, (0, 0, 80, 40), 1)], images=2, categories=2)
    right_half = (40.0, 0.0, 80.0, 40.0)
    first, second = find_overlaps(ground_truth, [found(0, [(right_half, 1, 0.3), (A, 2, 0.8)])], "segm")
    assert first.found.labels.tolist() == [2, 1]
    assert first.ious.tolist() == [[1.0], [0.0]]
    assert first.same_class.tolist() == [[False], [True]]
    assert first.in_crowd.tolist() == [1.0, 1.0]  # each in its own class's region
    assert second.ious.shape == (0, 0)


def test_an_object_in_a_crowd_region_is_found_and_what_lies_beside_it_there_does_not_count() -> None:
    ground_truth = truth([(0, 1, A, 0), (0, 1, (0, 0, 150, 120), 1)])
    overlaps = find_overlaps(ground_truth, [found(0, [((60, 60, 100, 100), 1, 0.95), (A, 1, 0.9)])], "segm")
    assert ap_at(overlaps, 0.5) == 1.0
