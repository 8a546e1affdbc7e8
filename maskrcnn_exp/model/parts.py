"""The five parts and the five losses: the vocabulary that names groups, tags and configuration keys."""

from __future__ import annotations

from typing import Final, Literal, get_args

__all__ = ["LOSSES", "LOSS_OWNER", "PARTS", "LossName", "Part", "part_of"]

Part = Literal["backbone", "fpn", "rpn", "box", "mask"]

LossName = str
"""One of LOSSES. Not a Literal: losses key the mappings that records, tables and files are made of."""

PARTS: Final[tuple[Part, ...]] = get_args(Part)
LOSSES: Final[tuple[LossName, ...]] = (
    "loss_objectness",
    "loss_rpn_box_reg",
    "loss_classifier",
    "loss_box_reg",
    "loss_mask",
)

LOSS_OWNER: Final[dict[LossName, Part]] = {
    "loss_objectness": "rpn",
    "loss_rpn_box_reg": "rpn",
    "loss_classifier": "box",
    "loss_box_reg": "box",
    "loss_mask": "mask",
}
"""The part whose head a loss trains."""

_PREFIXES: Final[tuple[tuple[str, Part], ...]] = (
    ("backbone.fpn.", "fpn"),
    ("backbone.", "backbone"),
    ("rpn.", "rpn"),
    ("roi_heads.box_", "box"),
    ("roi_heads.mask_", "mask"),
)


def part_of(parameter_name: str) -> Part:
    """Return the part that a parameter of torchvision's MaskRCNN belongs to, by its dotted name.

    Raises:
        KeyError: no part owns such a name.
    """
    for prefix, part in _PREFIXES:
        if parameter_name.startswith(prefix):
            return part
    raise KeyError(parameter_name)
