"""COCO numbers: equal to pycocotools', to the authors' published ones, and to numbers worked by hand."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as rle_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_exp.engine.coco_ap import Detections, encode_detections, evaluate_coco
from maskrcnn_exp.record.tags import COCO_METRICS

HEIGHT, WIDTH = 120, 150
PUBLISHED = Path(__file__).parents[2].parent / "shared/data/evaluator/cocoapi_val2014_100"

Box = tuple[float, float, float, float]


def rectangle(box_xyxy: Box, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    mask = np.zeros((height, width), dtype=np.uint8, order="F")
    x1, y1, x2, y2 = (round(value) for value in box_xyxy)
    mask[y1:y2, x1:x2] = 1
    code: dict[str, Any] = rle_codec.encode(mask)
    return code


def truth(instances: list[tuple[int, int, Box, int]], images: int = 1, categories: int = 1) -> dict[str, Any]:
    """Each instance: image, category, box x1 y1 x2 y2, iscrowd."""
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": category,
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "area": (box[2] - box[0]) * (box[3] - box[1]),
            "segmentation": rectangle(box),
            "iscrowd": crowd,
        }
        for number, (image, category, box, crowd) in enumerate(instances, start=1)
    ]
    return {
        "info": {},
        "images": [{"id": index, "height": HEIGHT, "width": WIDTH} for index in range(images)],
        "annotations": annotations,
        "categories": [{"id": label, "name": f"class {label}"} for label in range(1, categories + 1)],
    }


def found(image: int, rows: list[tuple[Box, int, float]]) -> Detections:
    """Each row: box x1 y1 x2 y2, label, score; the mask fills the box."""
    return Detections(
        image_index=image,
        boxes_xyxy=np.array([box for box, _, _ in rows], dtype=np.float32).reshape(-1, 4),
        labels=np.array([label for _, label, _ in rows], dtype=np.int64),
        scores=np.array([score for _, _, score in rows], dtype=np.float32),
        rles=[rectangle(box) for box, _, _ in rows],
    )


def pycocotools_stats(ground_truth: dict[str, Any], detections: list[Detections], kind: str) -> list[float]:
    """The reference: pycocotools, fed with result lists as its users do."""
    results = []
    for item in detections:
        rows = zip(item.boxes_xyxy.tolist(), item.labels.tolist(), item.scores.tolist(), item.rles, strict=True)
        for (x1, y1, x2, y2), label, score, rle in rows:
            shape = {"bbox": [x1, y1, x2 - x1, y2 - y1]} if kind == "bbox" else {"segmentation": dict(rle)}
            results.append({"image_id": item.image_index, "category_id": label, "score": score, **shape})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(ground_truth)
        coco.createIndex()
        no_results = COCO()
        no_results.dataset = {**copy.deepcopy(ground_truth), "annotations": []}
        no_results.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(results) if results else no_results, kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    stats: list[float] = np.asarray(evaluator.stats).tolist()
    return stats


def random_box(rng: np.random.Generator) -> Box:
    left, top = rng.uniform(0, WIDTH - 10), rng.uniform(0, HEIGHT - 10)
    return (left, top, rng.uniform(left + 3, WIDTH), rng.uniform(top + 3, HEIGHT))


def random_case(
    seed: int, instances: int, detections: int, crowd: float = 0.2
) -> tuple[dict[str, Any], list[Detections]]:
    """Four pictures, three classes, scores rounded to tenths so that many are equal."""
    rng = np.random.default_rng(seed)
    objects = [
        (image, int(rng.integers(1, 4)), random_box(rng), int(rng.random() < crowd))
        for image in range(4)
        for _ in range(instances)
    ]
    per_image = []
    for image in range(4):
        own = [(box, label) for where, label, box, _ in objects if where == image]
        rows = []
        for _ in range(detections):
            box, label = random_box(rng), int(rng.integers(1, 4))
            if own and rng.random() < 0.7:
                box, label = own[rng.integers(len(own))]
                x1, y1, x2, y2 = np.clip(np.array(box) + rng.normal(0, 2, 4), 0, [WIDTH, HEIGHT] * 2).tolist()
                box = (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))
            rows.append((box, label, round(float(rng.random()), 1)))
        per_image.append(found(image, rows))
    return truth(objects, images=4, categories=3), per_image


# --- numbers worked by hand --------------------------------------------------------------------------------

A: Box = (0, 0, 40, 40)
B: Box = (60, 60, 100, 100)
NOWHERE: Box = (105, 0, 145, 40)


def test_one_false_positive_between_two_hits_costs_a_sixth_of_the_upper_half() -> None:
    # Scores 0.9 hit, 0.8 miss, 0.7 hit; 2 objects. Precision after each: 1/1, 1/2, 2/3; recall: 1/2, 1/2, 1.
    # Interpolated: 1 up to recall 0.50, then 2/3. Of the 101 recall points 0.00 … 1.00, 51 are <= 0.50:
    # AP = (51 * 1 + 50 * 2/3) / 101 = 0.834983…, the same at every IoU because the hits are exact.
    result = evaluate_coco(
        truth([(0, 1, A, 0), (0, 1, B, 0)]),
        [found(0, [(A, 1, 0.9), (NOWHERE, 1, 0.8), (B, 1, 0.7)])],
    )
    by_hand = (51 + 50 * 2 / 3) / 101
    for numbers in (result.bbox, result.segm):
        assert numbers["AP"] == pytest.approx(by_hand, abs=1e-12)
        assert numbers["AP50"] == pytest.approx(by_hand, abs=1e-12)
        assert numbers["AR1"] == pytest.approx(0.5)  # the best detection alone finds one of two
        assert numbers["AR10"] == pytest.approx(1.0)


def test_a_box_that_overlaps_by_two_thirds_counts_at_four_of_ten_thresholds() -> None:
    # 40 × 40 against the same box 8 to the right: intersection 32 * 40, union 48 * 40, IoU = 2/3.
    # It is a hit at 0.50 0.55 0.60 0.65 and a miss at 0.70 … 0.95: AP = 4/10, AP50 = 1, AP75 = 0.
    shifted: Box = (8, 0, 48, 40)
    result = evaluate_coco(truth([(0, 1, A, 0)]), [found(0, [(shifted, 1, 0.9)])])
    for numbers in (result.bbox, result.segm):
        assert numbers["AP"] == pytest.approx(0.4, abs=1e-12)
        assert (numbers["AP50"], numbers["AP75"]) == (1.0, 0.0)


def test_a_detection_inside_a_crowd_region_is_neither_hit_nor_miss() -> None:
    # Counted as a miss above the hit it would halve the precision: AP 0.5.
    crowd_with_one_object = truth([(0, 1, A, 0), (0, 1, (50, 50, 150, 120), 1)])
    result = evaluate_coco(crowd_with_one_object, [found(0, [(B, 1, 0.99), (A, 1, 0.5)])])
    assert result.bbox["AP"] == pytest.approx(1.0)
    assert result.segm["AP"] == pytest.approx(1.0)


def test_ap_is_the_mean_over_classes() -> None:
    # Class 1 found exactly: 1. Class 2 has an object and no detection: 0. Class 3 has no object: left out.
    result = evaluate_coco(
        truth([(0, 1, A, 0), (0, 2, B, 0)], categories=3), [found(0, [(A, 1, 0.9), (NOWHERE, 3, 0.9)])]
    )
    assert result.segm["AP"] == pytest.approx(0.5)


def test_a_mask_is_measured_by_its_own_area_and_not_by_its_box() -> None:
    # The box is 40 × 40 = 1600 > 32², medium. The masks are 8 × 40 = 320 pixels, small.
    thin = rectangle((0, 0, 8, 40))
    ground_truth = truth([(0, 1, A, 0)])
    ground_truth["annotations"][0] |= {"segmentation": thin, "area": 320}
    wrong = Detections(0, np.array([B], np.float32), np.array([1]), np.array([0.9], np.float32), [rectangle(B)])
    wrong.rles[0] = rectangle((60, 60, 68, 100))
    result = evaluate_coco(ground_truth, [wrong])
    # As a small mask it is a miss among the small ones, as a medium box it would be outside of their range.
    assert result.segm["APs"] == 0.0
    assert result.segm["APm"] == -1.0


def test_no_detections_give_zeros_and_missing_sizes_minus_one() -> None:
    result = evaluate_coco(truth([(0, 1, A, 0)]), [])  # 1600 pixels: medium
    for numbers in (result.bbox, result.segm):
        assert set(numbers) == set(COCO_METRICS)
        assert {name for name, value in numbers.items() if value == -1} == {"APs", "APl", "ARs", "ARl"}
        assert {value for value in numbers.values() if value != -1} == {0.0}


def test_no_ground_truth_gives_minus_one_everywhere() -> None:
    result = evaluate_coco(truth([]), [found(0, [(A, 1, 0.9)])])
    assert set(result.bbox.values()) == set(result.segm.values()) == {-1.0}


# --- more than 100 detections ------------------------------------------------------------------------------


def crowded(objects: int) -> tuple[dict[str, Any], list[Detections]]:
    boxes = [(5.0 * (i % 30), 5.0 * (i // 30), 5.0 * (i % 30) + 4, 5.0 * (i // 30) + 4) for i in range(objects)]
    rows = [(box, 1, 0.9 - 0.001 * i) for i, box in enumerate(boxes)]
    return truth([(0, 1, box, 0) for box in boxes]), [found(0, rows)]


def test_more_than_100_objects_need_more_than_100_detections() -> None:
    # 150 objects, all found. 100 detections reach recall 2/3: precision is 1 on the recall points <= 0.6667,
    # 0.00 … 0.66, 67 of 101. With 150 detections AP = 1.
    ground_truth, detections = crowded(150)
    result = evaluate_coco(ground_truth, detections, max_dets=150)
    assert result.max_dets == 150
    assert result.segm["AP"] == pytest.approx(1.0)
    assert result.segm["ARs"] == pytest.approx(1.0)  # 16 pixels each: small
    assert result.segm["AR100"] == pytest.approx(100 / 150)  # keeps to its name
    assert result.segm["AR10"] == pytest.approx(10 / 150)
    assert result.standard_segm["AP"] == pytest.approx(67 / 101)
    assert result.standard_segm["ARs"] == pytest.approx(100 / 150)


def test_standard_numbers_of_a_wider_evaluation_are_those_of_a_standard_one() -> None:
    ground_truth, detections = random_case(seed=3, instances=30, detections=140)
    wide = evaluate_coco(ground_truth, detections, max_dets=140)
    standard = evaluate_coco(ground_truth, detections)
    assert wide.standard_bbox == standard.bbox
    assert wide.standard_segm == standard.segm


def test_at_100_detections_the_standard_numbers_are_the_same_objects() -> None:
    result = evaluate_coco(truth([(0, 1, A, 0)]), [found(0, [(A, 1, 0.9)])])
    assert result.standard_bbox is result.bbox
    assert result.standard_segm is result.segm


# --- against pycocotools -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize(
    ("instances", "detections", "crowd"),
    [(4, 10, 0.2), (4, 10, 0.9), (1, 3, 0.0), (30, 130, 0.1), (4, 0, 0.2), (0, 5, 0.0)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_numbers_equal_pycocotools(seed: int, instances: int, detections: int, crowd: float, kind: str) -> None:
    ground_truth, per_image = random_case(seed, instances, detections, crowd)
    result = evaluate_coco(ground_truth, per_image)
    numbers = result.bbox if kind == "bbox" else result.segm
    assert list(numbers) == list(COCO_METRICS)
    expected = pycocotools_stats(ground_truth, per_image, kind)
    assert list(numbers.values()) == pytest.approx(expected, abs=1e-12)


def as_rles(ground_truth: dict[str, Any]) -> None:
    """Turn the polygons of an annotation file into compressed codes, as a dataset's ground truth has them."""
    coco = COCO()
    coco.dataset = ground_truth
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    for annotation in ground_truth["annotations"]:
        annotation["segmentation"] = coco.annToRLE(annotation)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_numbers_equal_those_that_cocos_authors_published(kind: str) -> None:
    if not PUBLISHED.is_dir():
        pytest.skip("../shared/data/evaluator is absent: no published results to compare with")
    ground_truth = json.loads((PUBLISHED / "instances_val2014_100.json").read_text())
    results = json.loads((PUBLISHED / f"instances_val2014_fake{kind}100_results.json").read_text())
    as_rles(ground_truth)
    per_image = []
    for image in ground_truth["images"]:
        own = [item for item in results if item["image_id"] == image["id"]]
        empty = rectangle((0, 0, 0, 0), image["height"], image["width"])
        boxes_xywh = np.array([item.get("bbox", [0, 0, 1, 1]) for item in own], dtype=np.float64).reshape(-1, 4)
        boxes_xyxy = np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], axis=1)
        per_image.append(
            Detections(
                image_index=image["id"],
                # float64: some of these boxes overlap by exactly a threshold, and float32 moves them off it.
                boxes_xyxy=boxes_xyxy,
                labels=np.array([item["category_id"] for item in own], dtype=np.int64),
                scores=np.array([item["score"] for item in own], dtype=np.float32),
                rles=[item.get("segmentation", empty) for item in own],
            )
        )
    result = evaluate_coco(ground_truth, per_image)
    expected = json.loads((PUBLISHED / "expected.json").read_text())[kind]
    assert (result.bbox if kind == "bbox" else result.segm) == pytest.approx(expected, abs=1e-6)


# --- the call ----------------------------------------------------------------------------------------------


def test_order_of_pictures_does_not_change_the_numbers() -> None:
    ground_truth, detections = random_case(seed=5, instances=4, detections=10)
    assert evaluate_coco(ground_truth, detections[::-1]) == evaluate_coco(ground_truth, detections)


def test_evaluation_leaves_ground_truth_and_detections_alone(capfd: pytest.CaptureFixture[str]) -> None:
    ground_truth, detections = random_case(seed=6, instances=4, detections=10)
    before = copy.deepcopy((ground_truth, [item.rles for item in detections]))
    evaluate_coco(ground_truth, detections)
    assert (ground_truth, [item.rles for item in detections]) == before
    assert capfd.readouterr() == ("", "")


def test_fewer_than_100_detections_are_refused() -> None:
    with pytest.raises(ValueError, match="max_dets=50 must be at least 100"):
        evaluate_coco(truth([]), [], max_dets=50)


def test_a_picture_outside_of_the_ground_truth_is_refused() -> None:
    with pytest.raises(ValueError, match="picture 7, which the ground truth does not have"):
        evaluate_coco(truth([(0, 1, A, 0)]), [found(7, [(A, 1, 0.9)])])


def test_a_picture_that_comes_twice_is_refused() -> None:
    once = found(0, [(A, 1, 0.9)])
    with pytest.raises(ValueError, match="picture 0 has detections twice"):
        evaluate_coco(truth([(0, 1, A, 0)], images=2), [once, found(1, []), once])


def test_masks_of_another_size_than_the_picture_are_refused() -> None:
    smaller = found(0, [(A, 1, 0.9)])
    smaller.rles[0] = rectangle(A, height=60, width=75)
    with pytest.raises(ValueError, match=r"masks have height, width \[60, 75\], the picture \[120, 150\]"):
        evaluate_coco(truth([(0, 1, A, 0)]), [smaller])


def test_a_label_without_category_is_refused() -> None:
    with pytest.raises(ValueError, match=r"labels \[2\] are not among the 1 categories"):
        evaluate_coco(truth([(0, 1, A, 0)]), [found(0, [(A, 2, 0.9)])])


# --- detections --------------------------------------------------------------------------------------------


def test_detections_keep_order_and_types() -> None:
    boxes_xyxy = torch.tensor([[1.0, 2, 30, 40], [5, 5, 20, 20]], requires_grad=True)
    encoded = encode_detections(
        9, boxes_xyxy, torch.tensor([3, 1]), torch.tensor([0.25, 0.75]), torch.rand(2, 1, 28, 28), HEIGHT, WIDTH
    )
    assert encoded.image_index == 9
    assert encoded.boxes_xyxy.dtype == np.float32
    assert encoded.boxes_xyxy.tolist() == [[1, 2, 30, 40], [5, 5, 20, 20]]
    assert encoded.labels.dtype == np.int64
    assert encoded.labels.tolist() == [3, 1]
    assert encoded.scores.dtype == np.float32
    assert encoded.scores.tolist() == [0.25, 0.75]
    assert all(isinstance(rle["counts"], bytes) and rle["size"] == [HEIGHT, WIDTH] for rle in encoded.rles)


def test_no_detections_give_empty_arrays() -> None:
    encoded = encode_detections(
        0, torch.zeros(0, 4), torch.zeros(0), torch.zeros(0), torch.zeros(0, 1, 28, 28), HEIGHT, WIDTH
    )
    assert encoded.boxes_xyxy.shape == (0, 4)
    assert (len(encoded.labels), len(encoded.scores), encoded.rles) == (0, 0, [])


def test_masks_in_bfloat16_are_encoded() -> None:
    box, label, score = torch.tensor([[10.0, 20, 60, 90]]), torch.tensor([1]), torch.tensor([0.5])
    ones = torch.ones(1, 1, 28, 28, dtype=torch.bfloat16)
    encoded = encode_detections(0, box.bfloat16(), label, score.bfloat16(), ones, HEIGHT, WIDTH)
    assert rle_codec.area(encoded.rles).tolist() == pytest.approx([50 * 70], rel=0.05)
