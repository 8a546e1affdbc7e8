"""Toggles to compressed codes: equal to what pycocotools writes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle_codec

from maskrcnn_exp.engine.rle_writer import compress_toggles


def written(toggles: list[list[int]], height: int, width: int) -> list[dict[str, object]]:
    owners = np.repeat(np.arange(len(toggles)), [len(own) for own in toggles])
    return compress_toggles(
        owners, np.array([toggle for own in toggles for toggle in own], dtype=np.int64), len(toggles), height, width
    )


def drawn(toggles: list[int], height: int, width: int) -> dict[str, object]:
    """The reference: every pixel, and pycocotools' encode."""
    flips = np.zeros(height * width + 1, dtype=np.int64)
    np.add.at(flips, toggles, 1)
    pixels = (np.cumsum(flips)[:-1] & 1).astype(np.uint8).reshape(width, height).T
    code: dict[str, object] = rle_codec.encode(np.asfortranarray(pixels))
    return code


@given(st.data(), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=120, deadline=None, derandomize=True)
def test_any_toggles_give_pycocotools_code(data: st.DataObject, height: int, width: int) -> None:
    """Equal toggles, an object in the last pixel, empty and full masks come by themselves in pictures this small."""
    pairs = st.lists(st.tuples(*[st.integers(0, height * width)] * 2), max_size=8)
    masks = [sorted(sum(own, ())) for own in data.draw(st.lists(pairs, min_size=1, max_size=5))]
    assert written(masks, height, width) == [drawn(own, height, width) for own in masks]


@pytest.mark.parametrize("length", [15, 16, 17, 511, 512, 513, 16383, 16384, 524287, 524288, 16777216])
def test_runs_of_one_to_six_characters(length: int) -> None:
    # From the fourth run on the difference to the run before the previous one is written: here up and down again.
    runs = [length, 1, length, 1, 2 * length, 1, length, 5]
    toggles = np.cumsum(runs[:-1]).tolist()
    expected = rle_codec.frPyObjects({"size": [sum(runs), 1], "counts": runs}, sum(runs), 1)
    assert written([[], [*toggles, sum(runs)]], sum(runs), 1)[1] == expected


def test_two_toggles_at_one_pixel_cancel_out() -> None:
    assert written([[3, 7, 7, 9]], 4, 5) == [drawn([3, 9], 4, 5)]


def test_equal_toggles_of_two_masks_stay() -> None:
    assert written([[3, 20], [20, 20], [0, 4]], 4, 5) == [drawn(own, 4, 5) for own in ([3, 20], [], [0, 4])]


def test_no_masks_give_no_codes() -> None:
    assert written([], 4, 5) == []
