"""What other programs call the five losses and the numbers beside them.

torchvision: loss_objectness, loss_rpn_box_reg, loss_classifier, loss_box_reg, loss_mask.
Detectron2:  loss_rpn_cls,    loss_rpn_loc,     loss_cls,        loss_box_reg, loss_mask; bbox/AP, segm/AP in percent.
MMDetection: loss_rpn_cls,    loss_rpn_bbox,    loss_cls,        loss_bbox,    loss_mask; coco/bbox_mAP, segm_mAP_50.

Whatever stands before a name (`train/`, `Loss/`, `val_`) only says which split it is of.
"""

from __future__ import annotations

import re
from typing import Final

from maskrcnn_exp.model.parts import PARTS
from maskrcnn_exp.record import tags

__all__ = ["KNOWN_NAMES", "tags_of"]

KNOWN_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "loss_objectness": ("loss_objectness", "loss_rpn_cls"),
    "loss_rpn_box_reg": ("loss_rpn_box_reg", "loss_rpn_loc", "loss_rpn_bbox"),
    "loss_classifier": ("loss_classifier", "loss_cls"),
    "loss_box_reg": ("loss_box_reg", "loss_bbox"),
    "loss_mask": ("loss_mask",),
}
"""Loss → its names elsewhere."""

_LOSS: Final = {name: loss for loss, names in KNOWN_NAMES.items() for name in names}
_TOTAL: Final = frozenset({"total_loss", "loss_total", "loss", "total", "train_total", "training_loss"})
_VALIDATION: Final = frozenset({"val", "valid", "validation", "test", "eval"})
_AP: Final = re.compile(r"(bbox|segm|box|mask)_?(?:m?ap|ar)(?:[_@]?(50|75|s|m|l))?")
_METRIC: Final = {None: "AP", "50": "AP50", "75": "AP75", "s": "APs", "m": "APm", "l": "APl"}
_KIND: Final = {"bbox": "bbox", "box": "bbox", "segm": "segm", "mask": "segm"}
_OTHER: Final[dict[str, tuple[str, ...]]] = {
    "mask_rcnn/accuracy": ("mask/accuracy",),
    "mask_rcnn/false_positive": ("mask/false_positive",),
    "mask_rcnn/false_negative": ("mask/false_negative",),
    "roi_head/num_fg_samples": ("roi/foreground",),
    "data_time": ("time/data_s",),
    "time": ("time/step_s",),
    "lr": tuple(tags.lr_tag(part) for part in PARTS),
    "base_lr": tuple(tags.lr_tag(part) for part in PARTS),
}


def tags_of(name: str) -> tuple[str, ...]:
    """Return the tags of our record that a foreign name stands for; empty for an unknown one."""
    plain = name.strip().lower()
    if plain in _OTHER:
        return _OTHER[plain]
    if plain.split("/", 1)[-1] in tags.EPOCH_TAGS:
        return ()
    *before, base = re.split(r"[/|\s.\-]+", plain)
    held_out = any(word in _VALIDATION for word in before)
    first, _, rest = base.partition("_")
    if first in (*_VALIDATION, "train", "training") and (rest in _LOSS or rest in _TOTAL):
        held_out, base = held_out or first in _VALIDATION, rest
    if base in _LOSS:
        return (tags.val_loss_tag(_LOSS[base]) if held_out else tags.train_loss_tag(_LOSS[base]),)
    if base in _TOTAL or (held_out and base in _VALIDATION):
        return (tags.VAL_TOTAL if held_out else tags.TRAIN_TOTAL,)
    if base in _VALIDATION and before == ["loss"]:
        return (tags.VAL_TOTAL,)
    if base in _OTHER:
        return _OTHER[base]
    return _ap_tag("_".join([*before[-1:], base])) or _ap_tag(base)


def _ap_tag(name: str) -> tuple[str, ...]:
    match = _AP.fullmatch(name)
    if match is None or "ar" in name.replace("bar", ""):
        return ()
    return (tags.map_tag(_KIND[match[1]], _METRIC[match[2]]),)
