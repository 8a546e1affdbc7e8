"""What each corruption does to a file of three squares, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.doctor.corruptions import (
    CORRUPTIONS,
    boxes_jittered,
    decoded,
    encoded,
    half_unannotated,
    labels_shuffled,
    masks_empty,
    masks_shifted,
    masks_stamps,
    masks_swapped,
)

Coco = dict[str, Any]


def squares(count: int = 3, pictures: int = 1) -> Coco:
    """Squares of 12 pixels side by side, classes 1, 2, 3 in turn."""
    annotations = []
    for image_id in range(pictures):
        for place in range(count):
            mask = np.zeros((60, 60), dtype=bool)
            mask[4:16, 4 + 16 * place : 16 + 16 * place] = True
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1 + place % 3,
                    "segmentation": encoded(mask),
                    "bbox": [4 + 16 * place, 4, 12, 12],
                    "area": 144,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": str(number)} for number in (1, 2, 3)]
    images = [{"id": number, "file_name": f"{number}.png", "width": 60, "height": 60} for number in range(pictures)]
    return {"images": images, "annotations": annotations, "categories": categories}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_a_corruption_changes_the_annotations_and_not_its_input(name: str) -> None:
    before, untouched = squares(pictures=20), squares(pictures=20)
    after = CORRUPTIONS[name](before, rng())
    assert before == untouched
    assert after["annotations"] != before["annotations"]
    assert after["images"] == before["images"]


def test_shifted_masks_lie_a_third_of_a_side_to_the_right_and_below() -> None:
    mask = decoded(masks_shifted(squares(), rng())["annotations"][0])
    assert (np.flatnonzero(mask.any(axis=1))[0], np.flatnonzero(mask.any(axis=0))[0]) == (8, 8)  # 4 + 12 / 3
    assert mask.sum() == 144


def test_a_mask_that_would_be_shifted_out_of_the_picture_stays() -> None:
    coco = squares(1)
    corner = np.zeros((60, 60), dtype=bool)
    corner[58:, 58:] = True
    coco["annotations"].append({**coco["annotations"][0], "segmentation": encoded(corner), "bbox": [58, 58, 2, 2]})
    assert np.array_equal(decoded(masks_shifted(coco, rng())["annotations"][1]), corner)


def test_a_stamp_is_the_innermost_third_of_a_mask_and_its_box_stays() -> None:
    stamped = masks_stamps(squares(), rng())["annotations"][0]
    mask = decoded(stamped)
    assert mask.sum() == 36  # rims off 12 × 12: 100, 64, 36, the first below 0.3 · 144 = 43.2
    assert mask[7:13, 7:13].all()
    assert stamped["bbox"] == [4, 4, 12, 12]


def test_a_thin_mask_is_not_eroded_to_nothing() -> None:
    coco = squares(1)
    line = np.zeros((60, 60), dtype=bool)
    line[5, 5:50] = True
    coco["annotations"][0]["segmentation"] = encoded(line)
    assert decoded(masks_stamps(coco, rng())["annotations"][0]).sum() == 45


def test_swapped_masks_go_round_within_their_picture() -> None:
    before = squares(pictures=2)
    after = masks_swapped(before, rng())
    places = [decoded(annotation).any(axis=0).argmax() for annotation in after["annotations"][:3]]
    assert places == [20, 36, 4]
    assert [annotation["category_id"] for annotation in after["annotations"][:3]] == [1, 2, 3]


def test_jittered_boxes_keep_their_masks_and_have_a_size() -> None:
    before = squares(pictures=200)
    after = boxes_jittered(before, rng())
    off = [
        new["bbox"][0] - old["bbox"][0] for new, old in zip(after["annotations"], before["annotations"], strict=True)
    ]
    assert np.std(off) == pytest.approx(0.15 * 12, rel=0.1)
    assert all(min(annotation["bbox"][2:]) >= 1 for annotation in after["annotations"])
    assert after["annotations"][0]["segmentation"] == before["annotations"][0]["segmentation"]


def test_three_labels_of_ten_are_wrong() -> None:
    before = squares(pictures=400)
    after = labels_shuffled(before, rng())
    pairs = zip(after["annotations"], before["annotations"], strict=True)
    wrong = [new["category_id"] != old["category_id"] for new, old in pairs]
    assert np.mean(wrong) == pytest.approx(0.3, abs=0.04)


def test_every_second_annotation_is_gone_and_its_picture_stays() -> None:
    after = half_unannotated(squares(pictures=400), rng())
    assert len(after["annotations"]) == pytest.approx(600, abs=50)
    assert len(after["images"]) == 400


def test_six_masks_of_ten_hold_no_pixel() -> None:
    after = masks_empty(squares(pictures=200), rng())
    empty = [not decoded(annotation).any() for annotation in after["annotations"]]
    assert np.mean(empty) == pytest.approx(0.6, abs=0.05)
