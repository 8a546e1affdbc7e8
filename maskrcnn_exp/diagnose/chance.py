"""What a head that knows nothing scores: the yardsticks that hold for every data set."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["LN2", "classifier_chance", "mask_chance"]

LN2: Final = math.log(2)
"""Cross-entropy of a coin: loss_objectness, and loss_mask as BCE, of a head that says 0.5 everywhere."""


def mask_chance(bce_weight: float, dice_weight: float) -> float | None:
    """Return loss_mask of a mask head that says 0.5 everywhere; None for a loss with Dice.

    Binary cross-entropy is ln 2 then, whatever the masks; Dice depends on their sizes.
    """
    return bce_weight * LN2 if dice_weight == 0 and bce_weight > 0 else None


def classifier_chance(classes: int) -> float:
    """Return loss_classifier of a head that finds all `classes` and the background equally likely: ln(C + 1)."""
    return math.log(classes + 1)
