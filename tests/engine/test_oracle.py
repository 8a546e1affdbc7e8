"""What holds mask AP back: faults are planted one by one, and the share of the right part says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import max_pool2d

from maskrcnn_exp.data.ground_truth import encode_masks
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.engine.coco_ap import Detections, evaluate_coco
from maskrcnn_exp.engine.corrections import CORRECTIONS, Correction, correct_picture, show_at_resolutions
from maskrcnn_exp.engine.oracle import MaskApReport, OraclePicture, explain_mask_ap, split_missing_ap
from maskrcnn_exp.model.forward import ObjectMasks
from tests.engine.objects import ground_truth_of, perfect_detections, perfect_head, picture, picture_of, square

SAMPLES = [picture(index) for index in range(3)]
Fault = Callable[[Sample, Detections, ObjectMasks], tuple[Detections, ObjectMasks]]


def explain(fault: Fault | None = None, resolution: int = 28, samples: list[Sample] = SAMPLES) -> MaskApReport:
    pictures = []
    for sample in samples:
        objects = perfect_head(sample, resolution)
        # A perfect network: true boxes, and in them what the resolution allows.
        detections = replace(perfect_detections(sample), rles=show_at_resolutions(sample, objects)[resolution].rles)
        if fault is not None:
            detections, objects = fault(sample, detections, objects)
        pictures.append(OraclePicture.of(sample, detections, objects))
    ground_truth = ground_truth_of(samples)
    coco = evaluate_coco(ground_truth, [item.detections for item in pictures])
    report = explain_mask_ap(ground_truth, pictures, coco)
    assert report is not None
    assert sum(report.shares.values()) == pytest.approx(1 - report.as_is, abs=1e-12)
    return report


def wrong_classes(_: Sample, detections: Detections, objects: ObjectMasks) -> tuple[Detections, ObjectMasks]:
    return replace(detections, labels=3 - detections.labels), objects


def shifted_boxes(sample: Sample, detections: Detections, objects: ObjectMasks) -> tuple[Detections, ObjectMasks]:
    """Boxes 6 pixels to the right, IoU 0.65 of the squares; the head sees in them what is there."""
    boxes = detections.boxes_xyxy + np.array([6, 0, 6, 0], dtype=np.float32)
    return correct_picture(sample, replace(detections, boxes_xyxy=boxes), objects)["coarse_masks"], objects


def absent_detections(_: Sample, detections: Detections, objects: ObjectMasks) -> tuple[Detections, ObjectMasks]:
    nothing = Detections(detections.image_index, np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, np.float32), [])
    return nothing, objects


def eroded_masks(sample: Sample, detections: Detections, objects: ObjectMasks) -> tuple[Detections, ObjectMasks]:
    """The head finds the object's inside only, 3 pixels from the outline, wherever the box comes from."""
    outside = 1 - sample.target["masks"].float()
    masks = (max_pool2d(outside, 7, stride=1, padding=3) == 0).to(torch.uint8)
    found = perfect_head(replace(sample, target={**sample.target, "masks": masks})).found
    return replace(detections, rles=list(encode_masks(masks))), replace(objects, found=found)


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        (wrong_classes, "classes"),
        (shifted_boxes, "boxes"),
        (absent_detections, "boxes"),
        (eroded_masks, "mask_head"),
    ],
)
def test_a_planted_fault_has_by_far_the_largest_share(fault: Fault, part: str) -> None:
    shares = explain(fault).shares
    share = shares.pop(part)
    assert share > 0.25
    assert max(shares.values()) < share / 4


def test_a_coarse_mask_loses_by_resolution() -> None:
    report = explain(resolution=2)
    assert report.shares["resolution"] == pytest.approx(1 - report.as_is)
    assert report.shares["resolution"] > 0.1
    assert (list(report.at_resolution), report.resolution) == ([2, 4], 2)
    assert report.at_resolution[2] < report.at_resolution[4]
    assert report.at_double_size != report.at_resolution[2]


def test_nothing_is_lost_by_a_perfect_network_but_its_resolution() -> None:
    report = explain()
    for part in ("boxes", "classes", "mask_head"):
        assert report.shares[part] == pytest.approx(0, abs=1e-12)
    assert report.as_is == report.at_resolution[28] == report.ceilings["boxes"] == report.ceilings["coarse_masks"]
    assert set(report.tide_bbox.dap.values()) == set(report.tide_segm.dap.values()) == {0.0}
    assert 0 < report.boundary.AP <= report.as_is


def test_perfect_predictions_lose_nothing() -> None:
    """Of a square as large as the picture a grid shows all but a pixel."""
    squares = [picture_of(0, square((48, 48), 46)[None], [2]), picture(1, labels=())]
    report = explain(samples=squares)
    assert report.as_is == pytest.approx(1.0)
    assert list(report.shares.values()) == pytest.approx([0, 0, 0, 0], abs=1e-12)
    assert list(report.ceilings.values()) == pytest.approx([1] * len(CORRECTIONS))


def test_a_network_with_two_faults_owes_its_loss_to_both() -> None:
    def both(sample: Sample, detections: Detections, objects: ObjectMasks) -> tuple[Detections, ObjectMasks]:
        detections, objects = eroded_masks(sample, detections, objects)
        return wrong_classes(sample, detections, objects)

    report = explain(both)
    assert report.as_is == 0
    assert report.shares["classes"] > 0.25
    assert report.shares["mask_head"] > 0.15


def test_each_correction_reaches_at_least_what_is_there() -> None:
    for fault in (wrong_classes, shifted_boxes, eroded_masks):
        report = explain(fault)
        for name, ceiling in report.ceilings.items():
            assert ceiling >= report.as_is - 1e-12, (fault.__name__, name)
        assert report.ceilings["masks_and_classes"] >= report.ceilings["masks"] - 1e-12
        assert report.at_resolution[28] >= report.ceilings["boxes"] - 1e-12


def test_shares_worked_by_hand() -> None:
    ceilings: dict[Correction, float] = {
        "classes": 0.3,
        "boxes": 0.6,
        "masks": 0.5,
        "masks_and_classes": 0.7,
        "coarse_masks": 0.45,
    }
    shares = split_missing_ap(0.2, ceilings, at_resolution=0.9)
    # 0.2 → classes 0.3 → boxes 0.6 → mask head 0.9 → resolution 1; 0.2 → 0.45 → 0.5 → classes 0.7 → boxes 1.
    assert shares == pytest.approx(
        {
            "boxes": (0.3 + 0.3) / 2,
            "classes": (0.1 + 0.2) / 2,
            "mask_head": (0.3 + 0.25) / 2,
            "resolution": (0.1 + 0.05) / 2,
        }
    )


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7))
def test_shares_add_up_to_what_is_missing(numbers: list[float]) -> None:
    as_is, at_resolution, *rest = numbers
    shares = split_missing_ap(as_is, dict(zip(CORRECTIONS, rest, strict=True)), at_resolution)
    assert math.fsum(shares.values()) == pytest.approx(1 - as_is, abs=1e-9)


def test_more_objects_than_detections_count_do_not_lower_a_ceiling() -> None:
    masks = torch.stack([square((4 + 8 * row, 4 + 8 * column), 3) for row in range(11) for column in range(11)])
    sample = picture_of(0, masks, [2] * 121)
    ground_truth = ground_truth_of([sample])
    coco = evaluate_coco(ground_truth, [perfect_detections(sample)], max_dets=100)
    seen = OraclePicture.of(sample, perfect_detections(sample), perfect_head(sample))
    report = explain_mask_ap(ground_truth, [seen], coco)
    assert report is not None
    assert report.as_is < 0.9  # 100 of 121 count
    assert report.ceilings["masks"] == pytest.approx(1.0)


def test_as_many_detections_count_for_a_ceiling_as_for_the_mask_ap_as_it_is() -> None:
    sample = picture(0)
    hits = perfect_detections(sample)
    corner = encode_masks(square((3, 3), 2)[None])[0]
    misses = 126
    detections = Detections(
        image_index=0,
        boxes_xyxy=np.concatenate([np.tile(np.float32([1, 1, 5, 5]), (misses, 1)), hits.boxes_xyxy]),
        labels=np.concatenate([np.ones(misses, np.int64), hits.labels]),
        scores=np.concatenate([np.full(misses, 0.99, np.float32), hits.scores]),
        rles=[corner] * misses + hits.rles,
    )
    ground_truth = ground_truth_of([sample])
    coco = evaluate_coco(ground_truth, [detections], max_dets=130)
    report = explain_mask_ap(ground_truth, [OraclePicture.of(sample, detections, perfect_head(sample))], coco)
    assert report is not None
    assert report.as_is > coco.standard_segm["AP"]
    assert report.ceilings["classes"] == report.as_is


def test_without_an_object_there_is_nothing_to_split() -> None:
    samples = [picture(0, labels=())]
    ground_truth = ground_truth_of(samples)
    pictures = [OraclePicture.of(samples[0], perfect_detections(samples[0]), perfect_head(samples[0]))]
    coco = evaluate_coco(ground_truth, [item.detections for item in pictures])
    assert explain_mask_ap(ground_truth, pictures, coco) is None
