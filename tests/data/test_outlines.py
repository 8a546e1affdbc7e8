"""Polygons, run lengths and JSON pieces: our shortcuts give what the plain way gives, for anything."""

from __future__ import annotations

import io
import json
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

import maskrcnn_exp.data.json_stream as json_stream
import maskrcnn_exp.data.polygons as polygons_module
from maskrcnn_exp.data.json_stream import JsonStream
from maskrcnn_exp.data.polygons import draw_parts, short_outlines, surely_drawn, to_grid
from maskrcnn_exp.data.rle import Unusable, checked_rle, draw_runs, runs_of_counts
from maskrcnn_exp.data.segments import SegmentsBuilder
from tests.shared_data import SHARED, needs_shared_data

# pycocotools 2.0.11 does not know numpy 2's `copy` argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Multiples of 0.1 sit on the edges of the rounding, multiples of 0.05 too.
coordinates = st.one_of(st.floats(-30, 60), st.integers(-300, 600).map(lambda tenth: tenth / 10))
polygons = st.lists(coordinates, min_size=6, max_size=20).map(lambda numbers: numbers[: len(numbers) // 2 * 2])


@settings(max_examples=300, deadline=None)
@given(polygon=polygons, height=st.integers(1, 40), width=st.integers(1, 40))
def test_a_polygon_on_the_grid_is_drawn_as_pycocotools_draws_the_original(
    polygon: list[float], height: int, width: int
) -> None:
    (ours,) = draw_parts([to_grid(np.array(polygon))], height, width)
    assert ours == coco_mask.frPyObjects([polygon], height, width)[0]


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(polygons, min_size=1, max_size=4), most=st.integers(1, 6000))
@example(parts=[[-20.0, 0, 20, 0] * 2], most=700)  # four steps of 200
def test_a_part_is_short_where_its_steps_are_few(parts: list[list[float]], most: int) -> None:
    grids = [to_grid(np.array(part)) for part in parts]
    closed = [np.concatenate([grid, grid[:2]]).reshape(-1, 2) for grid in grids]
    steps = [np.abs(np.diff(points, axis=0)).max(axis=1).sum() for points in closed]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polygons_module, "_MAX_OUTLINE", most)
        short = short_outlines(np.concatenate(grids), np.cumsum([0, *(len(grid) for grid in grids)]))
    assert short.tolist() == [count <= most for count in steps]


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(polygons, min_size=1, max_size=4), height=st.integers(1, 40), width=st.integers(1, 40))
def test_what_is_surely_drawn_has_a_pixel(parts: list[list[float]], height: int, width: int) -> None:
    grids = [to_grid(np.array(part)) for part in parts]
    offsets = np.cumsum([0, *(len(grid) for grid in grids)])
    sizes = np.full(len(parts), height), np.full(len(parts), width)
    sure = surely_drawn(np.concatenate(grids), offsets, *sizes)
    for rle, certain in zip(draw_parts(grids, height, width), sure, strict=True):
        assert coco_mask.area(rle) > 0 or not certain


def test_an_outline_that_runs_around_twice_is_in_doubt() -> None:
    """Inside and outside alternate, so nothing is left of it; its middle column is crossed four times."""
    twice = to_grid(np.array([5.0, 5, 15, 5, 15, 15, 5, 15] * 2))
    assert coco_mask.area(draw_parts([twice], 30, 30)[0]) == 0
    assert not surely_drawn(twice, np.array([0, len(twice)]), np.array([30]), np.array([30])).any()


def test_plain_shapes_are_surely_drawn_and_degenerate_ones_are_not() -> None:
    shapes = [[5, 5, 15, 5, 15, 15, 5, 15], [5, 5, 15, 5, 10, 5], [50, 5, 60, 5, 60, 20], [5, 5, 15, 5, 15, 6, 5, 6]]
    grids = [to_grid(np.array(shape, dtype=float)) for shape in shapes]
    offsets = np.cumsum([0, *(len(grid) for grid in grids)])
    sure = surely_drawn(np.concatenate(grids), offsets, np.full(4, 30), np.full(4, 30))
    assert sure.tolist() == [True, False, False, False]  # the last has pixels, but is too thin to say so at a glance


@needs_shared_data
def test_few_real_polygons_are_in_doubt() -> None:
    """The glance is worth its lines only while most polygons need no drawing."""
    content = json.loads((SHARED / "evaluator/cocoapi_val2014_100/instances_val2014_100.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    polygons = [(a["segmentation"][0], *sizes[a["image_id"]]) for a in content["annotations"] if not a["iscrowd"]]
    grids = [to_grid(np.array(polygon)) for polygon, _, _ in polygons]
    offsets = np.cumsum([0, *(len(grid) for grid in grids)])
    heights, widths = np.array([h for _, h, _ in polygons]), np.array([w for _, _, w in polygons])
    assert surely_drawn(np.concatenate(grids), offsets, heights, widths).mean() > 0.8


masks = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))


def drawn_mask(choice: tuple[int, int, int, float]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    height, width, seed, density = choice
    mask = (np.random.default_rng(seed).random((height, width)) < density).astype(np.uint8)
    mask[height // 2, width // 2] = 1  # never empty
    return mask


@settings(max_examples=200, deadline=None)
@given(choice=masks)
def test_run_lengths_decode_as_pycocotools_encodes_them(choice: tuple[int, int, int, float]) -> None:
    mask = drawn_mask(choice)
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"]
    redrawn = np.zeros_like(mask)
    draw_runs(runs_of_counts(counts), redrawn)
    assert np.array_equal(redrawn, mask)
    assert checked_rle(counts.decode(), list(mask.shape)) == (counts, *mask.shape)


@settings(max_examples=100, deadline=None)
@given(choice=masks, cuts=st.lists(st.integers(0, 60), max_size=5))
def test_runs_of_length_zero_are_joined(choice: tuple[int, int, int, float], cuts: list[int]) -> None:
    mask = drawn_mask(choice)
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"]
    runs = runs_of_counts(counts).tolist()
    for cut in cuts:  # n becomes n-1, 0, 1: the same pixels in more runs
        place = cut % len(runs)
        if runs[place] > 1:
            runs[place : place + 1] = [runs[place] - 1, 0, 1]
    assert checked_rle(runs, list(mask.shape))[0] == counts


def test_long_runs_survive() -> None:
    runs = [3_000_000, 90_000_000, 7_000_000]
    counts, _, _ = checked_rle(runs, [10_000, 10_000])
    assert runs_of_counts(counts).tolist() == runs


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=127), max_size=30))
def test_damaged_run_lengths_are_refused_or_fill_the_picture(text: str) -> None:
    try:
        counts, height, width = checked_rle(text, [6, 7])
    except Unusable:
        return
    assert runs_of_counts(counts).sum() == height * width == 42
    assert coco_mask.area({"size": [6, 7], "counts": counts}) > 0


def test_counts_cut_off_in_a_number_are_refused() -> None:
    """The last character says that more follow; pycocotools would read on behind the end."""
    with pytest.raises(Unusable, match="does not decode"):
        runs_of_counts(b"1P")


def test_rows_of_both_kinds_come_back_in_order() -> None:
    builder = SegmentsBuilder()
    square, triangle = array("d", [1, 1, 5, 1, 5, 5, 1, 5]), array("d", [6, 6, 9, 6, 9, 9])
    counts = coco_mask.encode(np.asfortranarray(np.eye(10, dtype=np.uint8)))["counts"]
    rows = [
        builder.add_polygons(square + square, [8, 8], [1, 1]),  # two rows
        builder.add_counts(counts),
        builder.add_polygons(triangle + square, [6, 8], [2]),  # one row of two parts
    ]
    segments, bad = builder.finish()
    assert rows == [0, 2, 3]
    assert all(len(numbers) == 0 for numbers in bad.values())
    both = coco_mask.merge(coco_mask.frPyObjects([list(triangle), list(square)], 10, 10))
    expected = [both, {"size": [10, 10], "counts": counts}, coco_mask.frPyObjects([list(square)], 10, 10)[0]]
    assert segments.rles([3, 2, 1], 10, 10) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


lists_of_objects = st.lists(st.dictionaries(st.text(max_size=3), json_values, max_size=3), max_size=6)


@settings(max_examples=300, deadline=None)
@given(
    lists=st.dictionaries(st.text(max_size=5), st.lists(json_values, max_size=5) | lists_of_objects, max_size=4),
    indent=st.sampled_from([None, 1]),
    piece=st.integers(1, 9) | st.integers(10, 200),
)
def test_a_json_file_read_in_pieces_is_the_file(lists: dict[str, list[Any]], indent: int | None, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_PIECE", piece)
        stream = JsonStream(io.StringIO(json.dumps(lists, indent=indent)))
        assert {key: list(stream.elements()) for key in stream.object_keys()} == lists


def test_objects_that_were_read_together_come_together() -> None:
    objects = [{"at": [n, n], "in": {"n": n}, "text": "}, {"} for n in range(50)]
    stream = JsonStream(io.StringIO(json.dumps({"a": objects, "b": [objects]})))
    batches = {key: list(stream.batches()) for key in stream.object_keys()}
    assert [len(batch) for batch in batches["a"]] == [50]
    assert batches["a"][0] == objects
    assert batches["b"] == [[objects]]


@pytest.mark.parametrize(
    "text", ['{"a": [1, 2', '{"a" [1]}', '{"a": [1 2]}', "{1: [2]}", '{"a": [tru]}', "", '{"a": [{}, {} {}]}']
)
def test_what_is_no_json_is_said_with_its_place(text: str) -> None:
    stream = JsonStream(io.StringIO(text))
    with pytest.raises(ValueError, match="character"):
        _ = [list(stream.elements()) for _ in stream.object_keys()]
