"""Label files of other tools."""

from __future__ import annotations

import numpy as np

from maskrcnn_exp.data.label_files import Outlined, labelme, yolo_lines

SQUARE = np.array([[10.0, 20.0], [30.0, 20.0], [30.0, 40.0], [10.0, 40.0]])
FAR = SQUARE + 50


def test_yolo_counts_classes_from_0_and_writes_shares() -> None:
    lines = yolo_lines([Outlined(3, 0.9, [SQUARE, FAR]), Outlined(1, 0.8, [])], width=100, height=200)
    assert lines == ["2 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2"]  # the largest part; nothing for what has no outline


def test_labelme_keeps_all_parts_of_an_object_together() -> None:
    content = labelme([Outlined(1, 0.9, [SQUARE]), Outlined(2, 0.75, [SQUARE, FAR])], ["cat", "dog"], "a.jpg", 100, 200)
    shapes = content["shapes"]
    assert [(shape["label"], shape["group_id"]) for shape in shapes] == [("cat", None), ("dog", 2), ("dog", 2)]
    assert shapes[2]["points"] == [[60, 70], [80, 70], [80, 90], [60, 90]]
    assert shapes[1]["description"] == "score 0.750"
    assert (content["imagePath"], content["imageWidth"], content["imageHeight"]) == ("a.jpg", 100, 200)
    assert content["imageData"] is None
