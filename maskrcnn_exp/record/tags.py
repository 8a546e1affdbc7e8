"""The tags of a run's record. Frozen: tests pin them, CHANGELOG.md names every change."""

from __future__ import annotations

from typing import Final

from maskrcnn_exp.model.parts import LOSSES, PARTS

__all__ = [
    "CERTAIN_ERRORS",
    "COCO_METRICS",
    "EPOCH_TAGS",
    "EXTRA_TAGS",
    "STEP_TAGS",
    "TRAIN_TOTAL",
    "VAL_TOTAL",
    "certain_error_tag",
    "clip_tag",
    "falls",
    "grad_norm_tag",
    "lr_tag",
    "map_tag",
    "share_tag",
    "standard_map_tag",
    "step_tag",
    "train_loss_tag",
    "update_ratio_tag",
    "val_loss_tag",
]

COCO_METRICS: Final[tuple[str, ...]] = (
    "AP",
    "AP50",
    "AP75",
    "APs",
    "APm",
    "APl",
    "AR1",
    "AR10",
    "AR100",
    "ARs",
    "ARm",
    "ARl",
)
"""pycocotools' twelve numbers, in its order."""

CERTAIN_ERRORS: Final[tuple[str, ...]] = ("background", "classification", "localisation")
"""What can be wrong with the detections that the model is most sure of; `engine/certain_errors.py` says how."""

TRAIN_TOTAL: Final = "loss/train_total"
VAL_TOTAL: Final = "loss/val"


def train_loss_tag(loss: str) -> str:
    return f"loss/train_{loss}"


def val_loss_tag(loss: str) -> str:
    return f"loss/val_{loss}"


def share_tag(loss: str) -> str:
    return f"share/{loss}"


def map_tag(kind: str, metric: str) -> str:
    """`kind` is bbox or segm, `metric` one of COCO_METRICS."""
    return f"mAP/{kind}_{metric}"


def standard_map_tag(kind: str, metric: str) -> str:
    """The same number at COCO's own 100 detections per picture."""
    return f"mAP/{kind}_{metric}_maxdets100"


def lr_tag(part: str) -> str:
    return f"lr/{part}"


def grad_norm_tag(part: str) -> str:
    return f"grad_norm/{part}"


def update_ratio_tag(part: str) -> str:
    return f"update_ratio/{part}"


def clip_tag(part: str) -> str:
    return f"clip/{part}"


def certain_error_tag(kind: str) -> str:
    """`kind` is one of CERTAIN_ERRORS."""
    return f"certain_errors/{kind}"


def step_tag(name: str) -> str:
    return f"step/{name}"


def falls(tag: str) -> bool:
    """Say whether less is better: of losses, seconds, memory, wrong mask pixels and errors. Of all else more is."""
    return tag.removeprefix("step/").startswith(("loss", "total", "time/", "memory/", "mask/false_", "certain_errors/"))


EPOCH_TAGS: Final[tuple[str, ...]] = (
    *(train_loss_tag(loss) for loss in LOSSES),
    TRAIN_TOTAL,
    VAL_TOTAL,
    *(val_loss_tag(loss) for loss in LOSSES),
    *(share_tag(loss) for loss in LOSSES),
    *(map_tag(kind, metric) for kind in ("bbox", "segm") for metric in COCO_METRICS),
    *(make(part) for make in (lr_tag, grad_norm_tag, update_ratio_tag, clip_tag) for part in PARTS),
    "mask/accuracy",
    "mask/false_positive",
    "mask/false_negative",
    "mask/iou",
    "mask/val_iou",
    "roi/foreground",
    "roi/class_accuracy",
    "roi/val_class_accuracy",
    *(certain_error_tag(kind) for kind in CERTAIN_ERRORS),
    "time/data_s",
    "time/step_s",
    "time/eval_s",
    "time/epoch_s",
    "memory/peak_gib",
)
"""Written once per epoch, step = epoch from 1."""

EXTRA_TAGS: Final[tuple[str, ...]] = tuple(
    standard_map_tag(kind, metric) for kind in ("bbox", "segm") for metric in COCO_METRICS
)
"""Written once per epoch too, but only where the evaluation counted more than 100 detections per picture."""

STEP_TAGS: Final[tuple[str, ...]] = (
    *(step_tag(loss) for loss in LOSSES),
    step_tag("total"),
    *(step_tag(lr_tag(part)) for part in PARTS),
    *(step_tag(grad_norm_tag(part)) for part in PARTS),
)
"""Written every `trainer.log_every_steps`, step = optimiser step from 1."""
