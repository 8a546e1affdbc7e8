"""The mask loss with its telemetry, and the rule that joins losses over processes and pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from maskrcnn_exp.model.parts import LossName

__all__ = ["LOSS_DENOMINATOR", "MaskTelemetry", "dice_loss", "mask_loss", "mask_telemetry"]

LOSS_DENOMINATOR: dict[LossName, str] = {
    "loss_objectness": "anchors",
    "loss_rpn_box_reg": "anchors",
    "loss_classifier": "proposals",
    "loss_box_reg": "proposals",
    "loss_mask": "foreground",
}
"""What torchvision divides each loss by: sampled anchors, sampled proposals, foreground proposals."""


@dataclass(frozen=True)
class MaskTelemetry:
    """Pixel counts of the mask head's training predictions; int64 scalars, detached, on the model's device.

    The names and rules are Detectron2's mask_rcnn_loss statistics.
    """

    pixels: Tensor
    wrong: Tensor
    positives: Tensor  # ground-truth object pixels
    false_positives: Tensor
    false_negatives: Tensor


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return 1 - Dice, averaged over masks: 0 is perfect, 1 is no overlap.

    dice = (2 Σ p t + 1) / (Σ p + Σ t + 1), with p = sigmoid(logits), summed over a mask's pixels; the 1 keeps an
    empty mask finite.

    Args:
        logits: float [k, r, r].
        targets: float [k, r, r], 0..1. k = 0 is not allowed.

    Source: Milletari et al. 2016, "V-Net", section 3, in the linear form of MaskFormer.
    """
    probabilities = logits.sigmoid().flatten(1)
    targets = targets.flatten(1)
    overlap = 2 * (probabilities * targets).sum(dim=1)
    size = probabilities.sum(dim=1) + targets.sum(dim=1)
    return (1 - (overlap + 1) / (size + 1)).mean()


def mask_loss(logits: Tensor, targets: Tensor, bce_weight: float, dice_weight: float) -> Tensor:
    """Return bce_weight · BCE + dice_weight · Dice; with weights 1 and 0 this is torchvision's maskrcnn_loss.

    Args:
        logits: float [k, r, r], the logits of each region's own class.
        targets: float32 [k, r, r], 0..1.

    Returns:
        float32 scalar; 0 with a gradient path when k = 0.
    """
    logits = logits.float()
    if targets.numel() == 0:
        return logits.sum() * 0
    loss = bce_weight * F.binary_cross_entropy_with_logits(logits, targets)
    if dice_weight > 0:
        loss = loss + dice_weight * dice_loss(logits, targets)
    return loss


@torch.no_grad()
def mask_telemetry(logits: Tensor, targets: Tensor) -> MaskTelemetry:
    """Count right and wrong pixels at threshold 0.5. Arguments as for `mask_loss`."""
    predicted = logits > 0
    truth = targets > 0.5
    return MaskTelemetry(
        pixels=torch.tensor(targets.numel(), device=targets.device),
        wrong=(predicted != truth).sum(),
        positives=truth.sum(),
        false_positives=(predicted & ~truth).sum(),
        false_negatives=(~predicted & truth).sum(),
    )
