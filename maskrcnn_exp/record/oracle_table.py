"""What holds mask AP back, as a table and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from maskrcnn_exp.record.tables import aligned, number

if TYPE_CHECKING:
    from maskrcnn_exp.engine.corrections import Correction
    from maskrcnn_exp.engine.oracle import MaskApReport, Share
    from maskrcnn_exp.engine.tide import ErrorType

__all__ = ["oracle_lines"]

_NAMES: Final[Mapping[Share, str]] = {
    "boxes": "the boxes",
    "classes": "the classes",
    "mask_head": "the mask head",
    "resolution": "the resolution of the masks",
}
_CEILINGS: Final[Mapping[Correction, str]] = {
    "classes": "with the classes corrected",
    "boxes": "with the true boxes given to the mask head",
    "masks": "with perfect masks in the detected boxes",
}
_SETTINGS: Final[Mapping[Share, str]] = {
    "classes": "The classifier is in the box head: lr.box_mult, model.loss_weight.loss_classifier.",
    "mask_head": "Look at lr.mask_mult first, then model.mask_head.depth and model.mask_loss.",
}
_BOX_SETTINGS: Final[Mapping[ErrorType, str]] = {
    "missed": "Most of them miss objects: model.anchor_sizes, model.min_size, lr.rpn_mult.",
    "localisation": "Most of them fit badly: lr.box_mult, model.loss_weight.loss_box_reg.",
    "background": "Most of them show background: lr.box_mult, trainer.epochs, more pictures.",
}
_ANY_BOX_SETTING: Final = "Look at lr.box_mult and lr.rpn_mult."
_WORTH: Final = 0.01  # of AP: another resolution that could gain less is not advised


def oracle_lines(report: MaskApReport) -> list[str]:
    """Return what `evaluate` prints under the COCO numbers."""
    ceilings = [(f"   {text}", number(report.ceilings[name])) for name, text in _CEILINGS.items()]
    side = report.resolution
    perfect_head = (
        f"   with the true boxes and a perfect mask head, {side} × {side}",
        number(report.at_resolution[side]),
    )
    shares = [(f"   {_NAMES[name]}", _points(share)) for name, share in _largest_first(report.shares)]
    boundary = report.boundary
    return [
        f"🔍 What holds mask AP back: {_points(1 - report.as_is)} points are missing",
        aligned([("   lost by", "points"), *shares]),
        f"   {_sentence(report)}",
        aligned([("   mask AP as it is", number(report.as_is)), *ceilings, perfect_head]),
        f"   boundary AP {number(boundary.AP)} (AP50 {number(boundary.AP50)}, AP75 {number(boundary.AP75)})",
        _tide_table(report),
    ]


def _largest_first(shares: Mapping[Share, float]) -> list[tuple[Share, float]]:
    return sorted(shares.items(), key=lambda item: -item[1])


def _points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:.1f}"  # + 0.0: never "-0.0"


def _sentence(report: MaskApReport) -> str:
    (largest, share), *_ = _largest_first(report.shares)
    if share < 0.0005:
        return "Nothing is lost."
    setting = _SETTINGS.get(largest, "")
    if largest == "boxes":
        worst = max(report.tide_bbox.dap.items(), key=lambda item: item[1])[0]
        setting = _BOX_SETTINGS.get(worst, _ANY_BOX_SETTING)
    if largest == "resolution":
        setting = _resolution_setting(report)
    return f"Most is lost by {_NAMES[largest]}, {_points(share)} points. {setting}"


def _resolution_setting(report: MaskApReport) -> str:
    now = report.at_resolution[report.resolution]
    side, best = max(report.at_resolution.items(), key=lambda item: item[1])
    larger = report.at_double_size
    if max(best, larger) - now < _WORTH:
        return "Neither half nor double of it nor larger pictures could reach more."
    setting = f"model.mask_head.resolution={side}" if best >= larger else "A model.min_size twice as large"
    return f"{setting} could reach {max(best, larger):.4f}, where the ceiling is {now:.4f} now."


def _tide_table(report: MaskApReport) -> str:
    """Lay out TIDE's errors: what each kind costs in points of AP50, and how many there are."""
    boxes, masks = report.tide_bbox, report.tide_segm
    header = ("   TIDE: points of AP50 lost by", "boxes", "masks", "errors of boxes", "of masks")
    rows = [
        (
            f"   {kind}",
            _points(boxes.dap[kind]),
            _points(masks.dap[kind]),
            f"{boxes.counts[kind]}",
            f"{masks.counts[kind]}",
        )
        for kind in masks.dap
    ]
    return aligned([header, *rows])
