"""Masks, boxes and words on a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from maskrcnn_exp.data.drawing import COLOURS, edge, fitted, latin, overlay


def test_an_edge_is_what_has_a_neighbour_outside() -> None:
    mask = np.zeros((5, 5), dtype=np.uint8)
    mask[1:4, 1:4] = 1
    expected = mask.astype(bool)
    expected[2, 2] = False
    assert (edge(mask) == expected).all()
    assert edge(np.ones((3, 3), dtype=np.uint8)).sum() == 8  # the picture's own border is an edge


def test_objects_take_colours_in_turn_and_leave_the_rest_as_it_was() -> None:
    pixels = np.full((40, 60, 3), 100, dtype=np.uint8)
    masks = np.zeros((2, 40, 60), dtype=np.uint8)
    masks[0, 20:30, 5:15], masks[1, 20:30, 35:45] = 1, 1
    boxes = np.array([[5, 20, 15, 30], [35, 20, 45, 30]], dtype=np.float32)
    drawn = np.asarray(overlay(pixels, masks, boxes, ["", ""]))
    for number, column in enumerate((10, 40)):
        tint = 0.6 * 100 + 0.4 * np.array(COLOURS[number])
        assert np.abs(drawn[25, column] - tint).max() <= 1
        assert tuple(drawn[20, column]) == COLOURS[number]
    assert (drawn[35:] == 100).all()
    assert (pixels == 100).all()  # the picture itself is not drawn on


def test_words_stand_above_their_box_whatever_their_letters() -> None:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    boxes = np.array([[5, 20, 15, 30]])
    bare, told = (np.asarray(overlay(pixels, [], boxes, [text])) for text in ("", "日本 ä"))
    rows = np.flatnonzero((bare != told).any(axis=(1, 2)))
    assert len(rows)
    assert rows.max() < 20
    assert latin("日ä") == "?ä"


def test_fitting_keeps_proportions() -> None:
    assert fitted(Image.new("RGB", (200, 50)), 100).size == (100, 25)
    assert fitted(Image.new("RGB", (1, 500)), 100).size == (1, 100)
