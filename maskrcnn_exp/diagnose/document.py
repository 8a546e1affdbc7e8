"""The figures of the user's "Mask R-CNN Loss Breakdown", shown beside what was measured.

They are one user's experience on his data: no rule decides by them alone. On drawn shapes healthy runs end with
loss_objectness 0.006, loss_box_reg 0.4 and a share of loss_mask of 0.21, all outside.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FINAL", "RANGE", "SHARE", "SHARE_STRUGGLING", "SHARE_UNDERTRAINED", "spans"]

RANGE: Final[dict[str, tuple[float, float]]] = {
    "loss_objectness": (0.01, 0.5),
    "loss_rpn_box_reg": (0.01, 0.2),
    "loss_classifier": (0.05, 0.5),
    "loss_box_reg": (0.05, 0.3),
    "loss_mask": (0.1, 0.5),
}
"""Typical range of each loss while training."""

FINAL: Final[dict[str, tuple[float, float]]] = {
    "loss_objectness": (0.02, 0.08),
    "loss_rpn_box_reg": (0.03, 0.10),
    "loss_classifier": (0.05, 0.15),
    "loss_box_reg": (0.04, 0.12),
    "loss_mask": (0.08, 0.20),
}
"""Typical final value of each loss."""

SHARE: Final[dict[str, tuple[float, float]]] = {
    "loss_objectness": (0.05, 0.10),
    "loss_rpn_box_reg": (0.10, 0.15),
    "loss_classifier": (0.20, 0.30),
    "loss_box_reg": (0.15, 0.25),
    "loss_mask": (0.30, 0.40),
}
"""Typical share of each loss in the total of a well-trained network."""

SHARE_UNDERTRAINED: Final = 0.20
"""loss_mask below this share of the total "is undertrained"."""

SHARE_STRUGGLING: Final = 0.50
"""loss_mask above this share of the total "is struggling"."""


def spans(bounds: tuple[float, float]) -> str:
    """Write a range as the document does."""
    return f"{bounds[0]:.2f}–{bounds[1]:.2f}"
