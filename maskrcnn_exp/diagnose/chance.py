"""What a head that knows nothing scores: the yardsticks that hold for every data set."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LN2", "classifier_chance", "mask_chance", "mean_mask_entropy"]

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


_RATES_APART: Final = 0.1  # of missed and added pixels: closer together they do not tell how large the masks are


def mean_mask_entropy(accuracy: NDArray[np.float64], missed: NDArray[np.float64], added: NDArray[np.float64]) -> float:
    """Return the cross-entropy of a mask head that knows the mean size of all masks and nothing else, in nats.

    A share p of a box's pixels is object: `accuracy = 1 - p missed - (1 - p) added` gives p, and the cross-entropy of
    saying p everywhere is -p ln p - (1 - p) ln(1 - p). That is ln 2 for masks of half their box, 0.6 for round ones.

    Args:
        accuracy: Share of pixels that are right, one per epoch.
        missed: Share of object pixels that are called background, (epochs,).
        added: Share of background pixels that are called object, (epochs,).

    Returns:
        The median over the epochs; NaN where none tells.
    """
    apart = np.abs(added - missed) >= _RATES_APART  # false where one is NaN
    if not apart.any():
        return math.nan
    share = np.clip((accuracy - 1 + added)[apart] / (added - missed)[apart], 1e-6, 1 - 1e-6)
    return float(np.nanmedian(-share * np.log(share) - (1 - share) * np.log(1 - share)))
