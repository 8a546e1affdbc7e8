"""Annotations by column: what is odd in one of them changes nothing for the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskrcnn_exp.data.coco_columns import Annotations, AnnotationsBuilder

numbers = st.integers(-10, 10) | st.integers(10**308, 10**400) | st.floats(-1e4, 1e4) | st.just(math.nan)
odd = st.none() | st.booleans() | st.text(max_size=2) | numbers | st.lists(numbers, max_size=5)
ids = st.integers(0, 9) | st.sampled_from(["a", 3.0, 2.5, None, 2**70, [1]])
parts = st.lists(st.floats(-5, 30) | st.integers(-5, 30), min_size=5, max_size=9)
rles = st.sampled_from(
    [{"size": [2, 3], "counts": [1, 2, 3]}, {"size": [2, 3], "counts": [1]}, {"size": [2, 2], "counts": "04"}]
)
plain = st.builds(
    lambda n, x, y: {
        "id": n,
        "image_id": n % 3,
        "category_id": 1,
        "iscrowd": 0,
        "area": x * y,
        "bbox": [x, y, 3, 4.5],
        "segmentation": [[x, y, x + 3, y, x + 3, y + 4.5]],
    },
    st.integers(0, 99),
    st.floats(0, 9),
    st.integers(0, 9),
)
entries = st.one_of(
    plain,
    plain,
    odd,
    st.fixed_dictionaries(
        {},
        optional={
            "id": ids,
            "image_id": ids,
            "category_id": ids,
            "iscrowd": odd,
            "area": odd,
            "bbox": odd,
            "segmentation": st.one_of(st.lists(parts, max_size=3), st.lists(parts | odd, max_size=3), rles, odd, parts),
        },
    ),
)


def built(batches: list[list[Any]]) -> Annotations:
    builder = AnnotationsBuilder()
    for batch in batches:
        builder.add(batch)
    return builder.finish()


def as_lists(annotations: Annotations) -> dict[str, Any]:
    """Comparable, with NaN as text."""
    arrays = {**vars(annotations), **{f"segments.{k}": v for k, v in vars(annotations.segments).items()}}
    lists = {name: value.tolist() for name, value in arrays.items() if isinstance(value, np.ndarray)}
    unusable = {reason: numbers.tolist() for reason, numbers in annotations.unusable.items()}
    return {**lists, "unusable": unusable, "lost_parts": annotations.lost_parts}


@settings(max_examples=400, deadline=None)
@given(batch=st.lists(entries, min_size=1, max_size=8))
@example(batch=[{"segmentation": [[1, 1, 5, 1, 5, 5], [1, 2]]}, {"segmentation": [[0, 0, 9, 0, 9, 9]]}])
def test_annotations_added_together_are_those_added_one_by_one(batch: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnnotationsBuilder, "_add_whole_polygons", lambda *_: False)
        expected = built([[entry] for entry in batch])
    assert str(as_lists(built([batch]))) == str(as_lists(expected))


def test_plain_annotations_become_plain_columns() -> None:
    """Whole numbers stay numbers: a column of objects would cost every loader worker its memory."""
    entry = {"id": 7, "image_id": 2, "category_id": 3, "iscrowd": 1, "area": 4, "bbox": [1, 2, 3, 4]}
    outline = {"segmentation": [[0, 0, 3.2, 0, 3, 2]]}
    annotations = built([[{**entry, **outline}, {**entry, **outline, "id": 8}], [{**entry, "area": "wide"}]])
    assert (annotations.ids.dtype, annotations.ids.tolist()) == (np.int64, [7, 8, 7])
    assert (annotations.image_ids.dtype, annotations.image_ids.tolist()) == (np.int64, [2, 2, 2])
    assert annotations.areas.tolist()[:2] == [4.0, 4.0]
    assert math.isnan(annotations.areas[2])
    assert annotations.boxes_xywh.tolist() == [[1, 2, 3, 4]] * 3
    assert annotations.rows.tolist() == [0, 1, -1]
    assert annotations.segments.grid.tolist()[:6] == [0, 0, 16, 0, 15, 10]  # fifths of a pixel
    assert {reason: numbers.tolist() for reason, numbers in annotations.unusable.items()} == {"no segmentation": [2]}


def test_no_annotation_gives_empty_columns() -> None:
    empty = built([])
    assert (len(empty), len(empty.ids), empty.boxes_xywh.shape, len(empty.segments)) == (0, 0, (0, 4), 0)
