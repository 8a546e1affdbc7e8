"""What holds mask AP back: boxes, classes, the mask head, or the resolution of its masks, in points of AP.

A ceiling is the mask AP that the network would have if some things were mended (`engine/corrections.py`). Two ways lead
from the mask AP as it is to 1, and each of their steps mends one thing more:

    as it is → classes → boxes → mask head → resolution
    as it is → mask head → resolution → classes → boxes

What a thing gains depends on what was mended before it: in bad boxes good masks gain little, and the other way round.
So a share is the mean of its steps on both ways, and the shares add up to what is missing. (It is the Shapley value of
two players, detection and masks, each of which mends its first half first.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from maskrcnn_exp.data.target import GroundTruth, Sample
from maskrcnn_exp.engine.boundary import BoundaryAp, boundary_ap
from maskrcnn_exp.engine.coco_ap import CocoResult, Detections, evaluate_coco
from maskrcnn_exp.engine.corrections import (
    CORRECTIONS,
    Correction,
    correct_picture,
    show_at_double_size,
    show_at_resolutions,
)
from maskrcnn_exp.engine.greedy_matching import find_overlaps
from maskrcnn_exp.engine.tide import TideErrors, tide_errors
from maskrcnn_exp.model.forward import ObjectMasks

__all__ = ["MaskApReport", "OraclePicture", "Share", "explain_mask_ap", "split_missing_ap"]

Share = Literal["boxes", "classes", "mask_head", "resolution"]


@dataclass(frozen=True)
class OraclePicture:
    """One picture's detections, as they are and once for each correction; a few kilobytes."""

    detections: Detections
    corrected: Mapping[Correction, Detections]
    at_resolution: Mapping[int, Detections]  # all that a mask head with so many pixels per side can reach
    at_double_size: Detections  # all that the head's own resolution can reach with pictures twice as large
    resolution: int  # the head's own

    @classmethod
    def of(cls, sample: Sample, detections: Detections, objects: ObjectMasks) -> OraclePicture:
        """Make it from what `validate` lets an observer see."""
        return cls(
            detections=detections,
            corrected=correct_picture(sample, detections, objects),
            at_resolution=show_at_resolutions(sample, objects),
            at_double_size=show_at_double_size(sample, objects),
            resolution=objects.found.shape[-1],
        )


@dataclass(frozen=True)
class MaskApReport:
    """Why mask AP is what it is. AP and shares are 0..1."""

    as_is: float
    ceilings: dict[Correction, float]
    at_resolution: dict[int, float]  # with true boxes and a mask head that is perfect but for its pixels per side
    at_double_size: float  # the same at the head's own resolution, where the network sees objects twice as large
    resolution: int  # the head's own
    shares: dict[Share, float]  # add up to 1 - as_is; one below 0 is better than what was taken for perfect
    boundary: BoundaryAp
    tide_bbox: TideErrors
    tide_segm: TideErrors


def explain_mask_ap(
    ground_truth: GroundTruth, pictures: Sequence[OraclePicture], coco: CocoResult
) -> MaskApReport | None:
    """Return the report; None where there is no object, so that no AP is defined.

    Args:
        pictures: Of the ground truth, all of them, in any order.
        coco: Of the detections as they are, from `evaluate_coco`.
    """
    as_is = coco.segm["AP"]
    if as_is < 0:
        return None
    # Raised to the objects of the fullest picture, so that the true boxes are never too many.
    fullest = max(len(picture.corrected["boxes"].labels) for picture in pictures)
    max_dets = max(coco.max_dets, fullest)

    def mask_ap(detections: Sequence[Detections]) -> float:
        return evaluate_coco(ground_truth, detections, max_dets).segm["AP"]

    ceilings = {name: mask_ap([picture.corrected[name] for picture in pictures]) for name in CORRECTIONS}
    first = pictures[0]
    sides = {side: mask_ap([picture.at_resolution[side] for picture in pictures]) for side in first.at_resolution}
    detections = [picture.detections for picture in pictures]
    masks = find_overlaps(ground_truth, detections, "segm")
    return MaskApReport(
        as_is=as_is,
        ceilings=ceilings,
        at_resolution=sides,
        at_double_size=mask_ap([picture.at_double_size for picture in pictures]),
        resolution=first.resolution,
        shares=split_missing_ap(as_is, ceilings, sides[first.resolution]),
        boundary=boundary_ap(masks),
        tide_bbox=tide_errors(find_overlaps(ground_truth, detections, "bbox")),
        tide_segm=tide_errors(masks),
    )


def split_missing_ap(as_is: float, ceilings: Mapping[Correction, float], at_resolution: float) -> dict[Share, float]:
    """Split 1 - as_is: each thing's share is the mean of what mending it gains on the two ways."""
    return {
        "boxes": (ceilings["boxes"] - ceilings["classes"] + 1 - ceilings["masks_and_classes"]) / 2,
        "classes": (ceilings["classes"] - as_is + ceilings["masks_and_classes"] - ceilings["masks"]) / 2,
        "mask_head": (at_resolution - ceilings["boxes"] + ceilings["coarse_masks"] - as_is) / 2,
        "resolution": (1 - at_resolution + ceilings["masks"] - ceilings["coarse_masks"]) / 2,
    }
