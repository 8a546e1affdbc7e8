"""Detections with one thing mended: what is mended is right, and nothing else has changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools import mask as rle_codec

from maskrcnn_exp.data.ground_truth import encode_masks
from maskrcnn_exp.engine.coco_ap import Detections
from maskrcnn_exp.engine.corrections import (
    CORRECTIONS,
    correct_classes,
    correct_masks,
    correct_picture,
    see_through_grid,
    show_at_double_size,
    show_at_resolutions,
)
from tests.engine.objects import SIZE, drawn, perfect_detections, perfect_head, picture


def ious_with(detections: Detections, sample: object) -> np.ndarray:
    truths = encode_masks(sample.target["masks"])
    return np.asarray(rle_codec.iou(detections.rles, truths, [0] * len(truths)))


def rows_of(detections: Detections, rows: list[int]) -> Detections:
    return Detections(
        detections.image_index,
        detections.boxes_xyxy[rows],
        detections.labels[rows],
        detections.scores[rows],
        [detections.rles[row] for row in rows],
    )


# --- classes -----------------------------------------------------------------------------------------------


def test_a_wrong_class_is_corrected_and_the_rest_is_kept() -> None:
    detections = Detections(0, np.zeros((3, 4)), np.array([2, 2, 1]), np.array([0.9, 0.8, 0.7], np.float32), [{}] * 3)
    ious = np.array([[0.7, 0.0], [0.0, 0.9], [0.3, 0.2]])  # wrong, right, nowhere
    corrected = correct_classes(detections, ious, np.array([1, 2]))
    assert corrected.labels.tolist() == [1, 2, 1]
    assert corrected.scores is not detections.scores
    assert detections.labels.tolist() == [2, 2, 1]  # not written into


def test_a_wrong_class_of_an_object_that_is_found_already_is_left_out() -> None:
    labels = np.array([2, 1, 2, 2])
    detections = Detections(0, np.zeros((4, 4)), labels, np.array([0.9, 0.5, 0.6, 0.8], np.float32), [{}] * 4)
    # Object 0, of class 1, has a right detection of 0.5: the wrong one of 0.9 would be suppressed.
    # Object 1, of class 1, has two wrong ones, 0.6 and 0.8: the better-scored one stays.
    ious = np.array([[0.9, 0.0], [0.6, 0.0], [0.0, 0.9], [0.0, 0.7]])
    corrected = correct_classes(detections, ious, np.array([1, 1]))
    assert corrected.labels.tolist() == [1, 1]
    assert corrected.scores.tolist() == pytest.approx([0.5, 0.8])


def test_a_detection_that_finds_its_own_class_stays_even_where_it_overlaps_another_more() -> None:
    detections = Detections(0, np.zeros((1, 4)), np.array([1]), np.array([0.9], np.float32), [{}])
    assert correct_classes(detections, np.array([[0.6, 0.8]]), np.array([1, 2])).labels.tolist() == [1]


# --- masks -------------------------------------------------------------------------------------------------


def test_a_mended_mask_is_its_objects_within_the_detected_box() -> None:
    sample = picture(0, labels=(2,))  # a square of 28 pixels
    perfect = perfect_detections(sample)
    x1, y1, x2, y2 = perfect.boxes_xyxy[0].tolist()
    # 7.5 of 28 columns are cut away, the pixel that the box cuts through stays: 21 columns. The box is taller: no harm.
    box = np.array([[x1, y1 - 3, x2 - 7.5, y2 + 3]], dtype=np.float32)
    empty = rle_codec.encode(np.zeros((SIZE, SIZE), np.uint8, order="F"))
    detections = replace(perfect, boxes_xyxy=box, rles=[empty])
    (mended,) = correct_masks(detections, sample, list(encode_masks(sample.target["masks"]))).rles
    assert rle_codec.area(mended) == 28 * 21
    assert drawn(mended)[int(y1) : int(y2), int(x1) : int(x2) - 7].all()


def test_a_mask_without_an_object_of_its_class_in_its_box_is_left_alone() -> None:
    sample = picture(0)
    detections = perfect_detections(sample)
    detections.labels[0] = 2  # the object is a disc
    detections.boxes_xyxy[1] += 20  # IoU with its square: (8 · 8) / (2 · 784 - 64) < 0.5
    marked = [dict(rle, mark=row) for row, rle in enumerate(detections.rles)]
    mended = correct_masks(replace(detections, rles=marked), sample, list(encode_masks(sample.target["masks"])))
    assert [rle.get("mark") for rle in mended.rles] == [0, 1, None, None]


# --- resolution --------------------------------------------------------------------------------------------


def test_a_coarser_grid_shows_less_of_a_disc() -> None:
    sample = picture(0, labels=(1, 1, 1, 1))
    shown = show_at_resolutions(sample, perfect_head(sample, resolution=4))
    assert list(shown) == [2, 4, 8]
    means = [np.diag(ious_with(shown[side], sample)).mean() for side in (2, 4, 8)]
    assert means[0] < means[1] < means[2] < 1
    assert (shown[4].labels.tolist(), shown[4].scores.tolist()) == ([1, 1, 1, 1], [1, 1, 1, 1])


def test_masks_are_cut_where_the_network_sees_them() -> None:
    """Box and mask that the network sees at twice their size meet; cut in the picture's pixels they would not."""
    sample = picture(0)
    as_it_is = perfect_head(sample)
    twice = replace(
        as_it_is, seen=as_it_is.seen.repeat_interleave(2, 1).repeat_interleave(2, 2), boxes=as_it_is.boxes * 2
    )
    detections = perfect_detections(sample)
    coarse = correct_picture(sample, detections, twice)["coarse_masks"]
    assert np.diag(ious_with(coarse, sample)).min() > 0.85
    assert coarse.rles == show_at_double_size(sample, as_it_is).rles  # the same question, asked in two ways
    assert coarse.rles != correct_picture(sample, detections, as_it_is)["coarse_masks"].rles


def test_coarse_masks_of_true_boxes_are_what_the_resolution_allows() -> None:
    sample = picture(0)
    objects = perfect_head(sample)
    coarse = correct_picture(sample, perfect_detections(sample), objects)["coarse_masks"]
    assert coarse.rles == show_at_resolutions(sample, objects)[28].rles


def test_a_grid_over_the_whole_object_is_full() -> None:
    sample = picture(0, labels=(2,))
    objects = perfect_head(sample)
    assert see_through_grid(objects, 6)[0, 0, 1:-1, 1:-1].min() == 1
    assert see_through_grid(objects, 6, torch.zeros(1, dtype=torch.int64)).shape == (1, 1, 6, 6)


# --- all together ------------------------------------------------------------------------------------------


def test_perfect_detections_need_no_correction() -> None:
    sample = picture(3)
    detections = perfect_detections(sample)
    corrected = correct_picture(sample, detections, perfect_head(sample))
    assert tuple(corrected) == CORRECTIONS
    for name in ("classes", "masks", "masks_and_classes"):
        assert corrected[name].rles == detections.rles, name
        assert corrected[name].labels.tolist() == detections.labels.tolist(), name
        assert corrected[name].image_index == 3


def test_the_masks_of_the_head_in_true_boxes_are_pasted_there() -> None:
    sample = picture(0, labels=(1, 2))
    blank = perfect_head(sample)
    nothing_found = replace(blank, found=torch.zeros_like(blank.found))
    boxes = correct_picture(sample, perfect_detections(sample), nothing_found)["boxes"]
    assert rle_codec.area(boxes.rles).tolist() == [0, 0]
    assert boxes.labels.tolist() == [1, 2]
    filled = correct_picture(sample, perfect_detections(sample), replace(blank, found=torch.ones_like(blank.found)))
    for rle, box in zip(filled["boxes"].rles, sample.target["boxes"].int().tolist(), strict=True):
        x1, y1, x2, y2 = box
        assert drawn(rle)[y1:y2, x1:x2].all()
        assert rle_codec.area(rle) <= (x2 - x1 + 2) * (y2 - y1 + 2)  # torchvision pastes half a cell around it, too


@pytest.mark.parametrize("labels", [(), (1, 2)])
@pytest.mark.parametrize("detected", [0, 2])
def test_pictures_without_objects_or_detections_are_fine(labels: tuple[int, ...], detected: int) -> None:
    sample = picture(0, labels=labels)
    detections = rows_of(perfect_detections(picture(0)), list(range(detected)))
    for name, corrected in correct_picture(sample, detections, perfect_head(sample)).items():
        assert len(corrected.labels) == len(corrected.rles) == (len(labels) if name == "boxes" else detected), name
