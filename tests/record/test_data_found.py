"""What a record says of the data."""

from __future__ import annotations

import json

import pytest

from maskrcnn_exp.data.target import BoxFit, DatasetSummary
from maskrcnn_exp.record.data_found import DataFound

SUMMARY = DatasetSummary(
    images=5,
    instances=20,
    negatives=1,
    crowd=0,
    max_objects=9,
    left_out={"mask without a pixel": ["7", "9"], "no file": ["3"]},
    annotations_left_out=2,
    boxes=BoxFit(looked_at=20, off=0.1, beside=0.0, median_iou=0.97, median_size=1.0),
)


def test_counts_come_back_from_json() -> None:
    found = DataFound.of_summary(SUMMARY)
    assert found.left_out == {"mask without a pixel": 2, "no file": 1}
    assert DataFound.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_data_set_without_boxes_of_its_own_comes_back() -> None:
    found = DataFound(images=3)
    assert DataFound.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("other", [None, 3, [], {}, {"boxes": {"off": 1}}, {"boxes": None, "later": 1}])
def test_another_versions_words_are_unknown(other: object) -> None:
    assert DataFound.from_json(other) is None
