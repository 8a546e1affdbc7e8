"""What the most certain detections are wrong about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from maskrcnn_exp.engine.certain_errors import certain_errors
from maskrcnn_exp.engine.coco_ap import Detections
from tests.engine.objects import ground_truth_of, perfect_detections, picture

PICTURES = [picture(0), picture(1)]
"""Four objects each; half of all eight are looked at."""


def detected(*changes: int, boxes: tuple[float, float, float, float] | None = None, label: int = 0) -> list[Detections]:
    """Perfect detections, those of the first picture above those of the second; some of the first have changed."""
    first, second = map(perfect_detections, PICTURES)
    first = replace(first, scores=first.scores + np.float32(0.1))
    for place in changes:
        if boxes is not None:
            first.boxes_xyxy[place] = boxes
        if label:
            first.labels[place] = label
    return [second, first]


def errors(detections: list[Detections]) -> dict[str, float]:
    return certain_errors(ground_truth_of(PICTURES), detections)


def test_perfect_detections_have_no_errors() -> None:
    assert errors(detected()) == {"background": 0, "classification": 0, "localisation": 0}


def test_a_certain_detection_where_no_object_is_counts_as_background() -> None:
    assert errors(detected(0, boxes=(38, 38, 50, 50)))["background"] == 1 / 4


def test_the_wrong_class_on_an_object_is_called_that() -> None:
    assert errors(detected(0, 2, label=2)) == {"background": 0, "classification": 2 / 4, "localisation": 0}


def test_a_box_half_on_its_object_is_in_the_wrong_place() -> None:
    x1, y1, x2, y2 = perfect_detections(PICTURES[0]).boxes_xyxy[1].tolist()
    third = (x1 + (x2 - x1) * 0.6, y1, x2 + (x2 - x1) * 0.6, y2)  # IoU 0.25
    assert errors(detected(1, boxes=third)) == {"background": 0, "classification": 0, "localisation": 1 / 4}


def test_only_the_most_certain_half_counts() -> None:
    first, second = perfect_detections(PICTURES[0]), perfect_detections(PICTURES[1])
    second.boxes_xyxy[:] = (38, 38, 50, 50)
    sure = replace(first, scores=first.scores + np.float32(0.1))
    assert errors([sure, second])["background"] == 0
    assert errors([first, replace(second, scores=second.scores + np.float32(0.1))])["background"] == 1


def test_what_lies_in_a_crowd_region_is_no_error() -> None:
    ground_truth = ground_truth_of(PICTURES)
    region = {**ground_truth["annotations"][0], "iscrowd": 1, "bbox": [30.0, 30.0, 30.0, 30.0], "category_id": 1}
    crowded = {**ground_truth, "annotations": [*ground_truth["annotations"], region]}
    detections = detected(0, boxes=(38, 38, 50, 50), label=1)
    assert certain_errors(crowded, detections)["background"] == 0


@pytest.mark.parametrize("detections", [[], [replace(perfect_detections(picture(0, [])), image_index=0)]])
def test_nothing_found_says_nothing(detections: list[Detections]) -> None:
    assert errors(detections) == {}


def test_no_objects_say_nothing() -> None:
    empty = [picture(0, [])]
    assert certain_errors(ground_truth_of(empty), [perfect_detections(PICTURES[0])]) == {}
