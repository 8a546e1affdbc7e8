"""TIDE: each kind of error worked by hand, and the numbers of its authors' own program."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from maskrcnn_exp.engine.coco_ap import evaluate_coco
from maskrcnn_exp.engine.greedy_matching import find_overlaps
from maskrcnn_exp.engine.tide import ERROR_TYPES, TideErrors, tide_errors
from tests.engine.test_coco_ap import NOWHERE, A, B, Box, found, random_case, truth

HALF_OF_B: Box = (60, 60, 100, 75)  # IoU with B: 15 / 40 = 0.375

ONE_OF_TWO = 51 / 101
"""AP where the better-scored half of the detections finds one of two objects: precision 1 up to recall 0.50."""


def errors_of(rows: list[tuple[Box, int, float]], objects: list[tuple[int, int, Box, int]]) -> TideErrors:
    return tide_errors(find_overlaps(truth(objects, categories=2), [found(0, rows)], "segm"))


TWO: list[tuple[int, int, Box, int]] = [(0, 1, A, 0), (0, 1, B, 0)]


@pytest.mark.parametrize(
    ("kind", "row", "ap50", "gain"),
    [
        # Mended, both objects are found: AP50 1.
        ("classification", (B, 2, 0.8), ONE_OF_TWO, 1 - ONE_OF_TWO),
        ("localisation", (HALF_OF_B, 1, 0.8), ONE_OF_TWO, 1 - ONE_OF_TWO),
    ],
)
def test_an_error_that_finds_an_object_once_mended(
    kind: str, row: tuple[Box, int, float], ap50: float, gain: float
) -> None:
    errors = errors_of([(A, 1, 0.9), row], TWO)
    assert errors.ap50 == pytest.approx(ap50, abs=1e-12)
    assert errors.dap == pytest.approx({name: gain if name == kind else 0.0 for name in ERROR_TYPES}, abs=1e-12)
    assert errors.counts == {name: int(name == kind) for name in ERROR_TYPES}


@pytest.mark.parametrize(("kind", "box"), [("duplicate", A), ("background", NOWHERE)], ids=["duplicate", "background"])
def test_an_error_that_is_dropped_once_mended(kind: str, box: Box) -> None:
    # Hit, miss, hit: precision 1 on 51 recalls, 2/3 on 50 (test_coco_ap). Without the miss: 1.
    errors = errors_of([(A, 1, 0.9), (box, 1, 0.8), (B, 1, 0.7)], TWO)
    gain = 1 - (51 + 50 * 2 / 3) / 101
    assert errors.dap == pytest.approx({name: gain if name == kind else 0.0 for name in ERROR_TYPES}, abs=1e-12)
    assert errors.counts == {name: int(name == kind) for name in ERROR_TYPES}


def test_a_wrong_class_in_a_wrong_place_is_both() -> None:
    # Class 2 finds its object in picture 1, after the miss in picture 0: AP 1/2. Without the miss: 1. Class 1: 1.
    ground_truth = truth([(0, 1, B, 0), (1, 2, A, 0)], images=2, categories=2)
    detections = [found(0, [(B, 1, 0.9), (HALF_OF_B, 2, 0.8)]), found(1, [(A, 2, 0.7)])]
    errors = tide_errors(find_overlaps(ground_truth, detections, "segm"))
    assert errors.ap50 == pytest.approx(0.75)
    assert errors.dap == pytest.approx({name: 0.25 if name == "both" else 0.0 for name in ERROR_TYPES})
    assert errors.counts["both"] == 1


def test_an_object_without_any_detection_is_missed() -> None:
    errors = errors_of([(A, 1, 0.9)], TWO)
    assert errors.dap == pytest.approx(
        {name: 1 - ONE_OF_TWO if name == "missed" else 0.0 for name in ERROR_TYPES}, abs=1e-12
    )
    assert errors.counts == {name: int(name == "missed") for name in ERROR_TYPES}


def test_of_two_mended_detections_only_the_better_scored_one_finds_the_object() -> None:
    # Mending localisation: the one of 0.6 is dropped, since the wrong class of 0.8 has the object. No gain.
    # Mending the class: hit, hit, miss: precision 1 up to recall 1.
    errors = errors_of([(A, 1, 0.9), (B, 2, 0.8), (HALF_OF_B, 1, 0.6)], TWO)
    assert errors.ap50 == pytest.approx(ONE_OF_TWO, abs=1e-12)
    assert errors.dap["localisation"] == pytest.approx(0.0)
    assert errors.dap["classification"] == pytest.approx(1 - ONE_OF_TWO, abs=1e-12)
    assert errors.counts["missed"] == 0


def test_a_detection_in_a_crowd_region_is_no_error() -> None:
    errors = errors_of([(NOWHERE, 1, 0.95), (A, 1, 0.9)], [(0, 1, A, 0), (0, 1, NOWHERE, 1)])
    assert errors.ap50 == 1.0
    assert set(errors.counts.values()) == {0}


def test_a_class_whose_objects_are_all_missed_counts_only_where_it_has_detections() -> None:
    # Class 1 is found. Class 2's object is missed. Not asked for, class 2 is gone: AP50 from 1/2 to 1.
    objects: list[tuple[int, int, Box, int]] = [(0, 1, A, 0), (0, 2, B, 0)]
    assert errors_of([(A, 1, 0.9)], objects).dap["missed"] == pytest.approx(0.5)
    # With a detection in the background it stays, with 0.
    assert errors_of([(A, 1, 0.9), (NOWHERE, 2, 0.8)], objects).dap["missed"] == pytest.approx(0.0)


def test_perfect_detections_have_no_error_and_no_object_has_no_number() -> None:
    perfect = errors_of([(A, 1, 0.9), (B, 1, 0.8)], TWO)
    assert perfect.ap50 == 1.0
    assert set(perfect.dap.values()) == {0.0}
    assert errors_of([(A, 1, 0.9)], []) == TideErrors(-1.0, {}, {})


@pytest.mark.parametrize(
    ("seed", "kind", "ap50", "dap"),
    [
        (0, "bbox", 0.253279, [0.026344, 0.131796, 0.006368, 0.019267, 0.054796, 0.088426]),
        (0, "segm", 0.253279, [0.017337, 0.130394, 0.017848, 0.019267, 0.054796, 0.088426]),
        (2, "segm", 0.293729, [0.133388, 0.084976, 0.034809, 0.021049, 0.006254, 0.019142]),
        (3, "bbox", 0.385156, [0.062247, 0.111636, 0.007258, 0.035066, 0.108285, 0.033559]),
        (3, "segm", 0.352671, [0.058046, 0.176574, 0.004815, 0.026067, 0.102849, 0.027406]),
    ],
)
def test_numbers_equal_those_of_tidecv(seed: int, kind: Literal["bbox", "segm"], ap50: float, dap: list[float]) -> None:
    """Recorded with tidecv 1.0.1 for these detections: four pictures, three classes, crowds, a third wrong classes."""
    ground_truth, detections = random_case(seed, instances=5, detections=14)
    for picture, item in enumerate(detections):
        item.labels[::3] = item.labels[::3] % 3 + 1
        item.scores[:] += np.float32(0.001) * np.arange(14, dtype=np.float32) + np.float32(0.0001 * picture)  # no ties
    errors = tide_errors(find_overlaps(ground_truth, detections, kind))
    assert errors.ap50 == pytest.approx(ap50, abs=1e-6)
    assert list(errors.dap.values()) == pytest.approx(dap, abs=1e-6)
    if kind == "segm":
        assert errors.ap50 == pytest.approx(evaluate_coco(ground_truth, detections).segm["AP50"], abs=1e-12)
