"""The yardsticks of a guess."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maskrcnn_exp.diagnose.chance import LN2, mean_mask_entropy


def rates_of(share: float, missed: float, added: float) -> tuple[float, float, float]:
    """What the telemetry says of masks that fill `share` of their boxes."""
    return 1 - share * missed - (1 - share) * added, missed, added


@pytest.mark.parametrize(("share", "entropy"), [(0.5, LN2), (0.71, 0.6022), (0.2, 0.5004)])
def test_the_size_of_the_masks_is_read_off_the_rates_of_error(share: float, entropy: float) -> None:
    epochs = np.array([rates_of(share, missed, added) for missed, added in ((0.2, 0.7), (0.01, 0.98), (0.15, 0.5))])
    assert mean_mask_entropy(*epochs.T) == pytest.approx(entropy, abs=1e-4)


def test_equal_rates_tell_nothing_and_gaps_are_passed_over() -> None:
    even = np.array([[0.8, 0.2, 0.2], [math.nan] * 3])
    assert math.isnan(mean_mask_entropy(*even.T))
    assert mean_mask_entropy(*np.vstack([even, rates_of(0.5, 0.1, 0.9)]).T) == pytest.approx(LN2)
