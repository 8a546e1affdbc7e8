"""Suspects in the console and in suspects.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from maskrcnn_exp.engine.suspect_pictures import SeenSuspect
from maskrcnn_exp.engine.suspects import Suspect, Suspects
from maskrcnn_exp.engine.validation import PictureMasks
from maskrcnn_exp.record.suspects_text import suspect_lines, suspects_json, suspects_markdown

FOUND = tuple(
    Suspect(PictureMasks(index, 4, 1.0 + index, 0.25), 9.0 - index, ("loss_mask", "mask_iou")) for index in range(7)
)
SUSPECTS = Suspects(100, 0.2, 0.875, FOUND)
NAMES = {index: f"{index}.png" for index in range(7)}
SEEN = [SeenSuspect(FOUND[0], [11, "b"], [0.9, 0.05], np.zeros((4, 4, 3), np.uint8))]


def test_the_console_names_five_then_the_file() -> None:
    lines = suspect_lines(SUSPECTS, SEEN, NAMES, Path("run/suspects.json"))
    assert lines[0] == "suspects: in 7 of 100 validation pictures network and masks disagree: look at them"
    assert lines[1] == ("   0.png: loss_mask 1.00 (median 0.20) · mask IoU 0.25 (median 0.88) · annotation b 0.05")
    assert lines[2] == "   1.png: loss_mask 2.00 (median 0.20) · mask IoU 0.25 (median 0.88)"
    assert len(lines) == 7
    assert lines[-1] == "   2 more, and numbers: run/suspects.json"


def test_without_suspects_nothing_is_said() -> None:
    assert suspect_lines(Suspects(100, 0.2, 0.9, ()), [], {}, None) == []


def test_json_has_all_of_them_with_ids_and_the_rule() -> None:
    content = suspects_json(SUSPECTS, SEEN, NAMES, {index: 100 + index for index in range(7)}, {"limit": 3.5})
    content = json.loads(json.dumps(content, allow_nan=False))
    assert len(content["suspects"]) == 7
    assert content["rule"] == {"limit": 3.5}
    assert content["not_judged"] is None
    first, second = content["suspects"][:2]
    assert first == {
        "file_name": "0.png",
        "image_id": 100,
        "loss_mask": 1.0,
        "mask_iou": 0.25,
        "score": 9.0,
        "because": ["loss_mask", "mask_iou"],
        "annotations": [{"id": "b", "mask_iou": 0.05}, {"id": 11, "mask_iou": 0.9}],
    }
    assert second["annotations"] is None


def test_an_empty_set_is_plain_json_too() -> None:
    empty = Suspects(0, float("nan"), float("nan"), (), "no picture with objects")
    content = suspects_json(empty, [], {}, {}, {})
    assert json.dumps(content, allow_nan=False)
    assert content["not_judged"] == "no picture with objects"


def test_tensorboards_text_explains_the_colours() -> None:
    assert "green: annotated · red: found" in suspects_markdown(SUSPECTS, SEEN, NAMES)
