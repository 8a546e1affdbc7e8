"""Trends by hand: what is a fall, what is noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_exp.diagnose.trends import log_drop, noise_of, running, trend

NAN = math.nan


def test_the_line_goes_through_the_medians_of_all_slopes() -> None:
    """Slopes between 1, 2, 3, 10 at 0, 1, 2, 3: 1, 1, 3, 1, 4, 7; their median is 2. Offsets 1, 0, -1, 4: 0.5."""
    line = trend(np.array([1.0, 2.0, 3.0, 10.0]))
    assert line is not None
    assert (line.start, line.end) == (pytest.approx(0.5), pytest.approx(6.5))


def test_missing_points_keep_their_place_on_the_axis() -> None:
    line = trend(np.array([4.0, NAN, NAN, 1.0]))
    assert line is not None
    assert (line.start, line.end, line.points) == (4.0, 1.0, 2)
    assert line.relative_drop == pytest.approx(0.75)


def test_one_point_has_no_trend() -> None:
    assert trend(np.array([NAN, 3.0])) is None


def test_the_last_points_alone_are_looked_at_where_asked() -> None:
    line = trend(np.array([9.0, 1.0, 2.0, 3.0]), points=3)
    assert line is not None
    assert line.drop == pytest.approx(-2.0)


def test_noise_of_an_alternating_curve() -> None:
    """1, 3, 1, 3, 1, 3: second differences ±4, their median deviation 4 about 0: 1.4826 · 4 / √6 = 2.421."""
    assert noise_of(np.array([1.0, 3.0, 1.0, 3.0, 1.0, 3.0])) == pytest.approx(2.421, abs=1e-3)


def test_a_straight_line_has_no_noise_but_the_floor() -> None:
    assert noise_of(np.linspace(2.0, 4.0, 9)) == pytest.approx(0.01 * 3.0)


def test_a_fall_within_the_noise_is_none() -> None:
    """The line falls by 0.05; noise 0.05 · √(12/8) · 3 = 0.18 is needed."""
    noisy = trend(np.linspace(1.0, 0.95, 8), noise=0.05)
    clear = trend(np.linspace(1.0, 0.75, 8), noise=0.05)
    assert noisy is not None
    assert clear is not None
    assert not noisy.falls()
    assert clear.falls(0.2)
    assert not clear.falls(0.3)  # more than its noise, yet not by 30 %
    assert not clear.rises()


def test_log_drop_of_a_halving_is_ln_2() -> None:
    assert log_drop(np.array([2.0, 2.0, 1.5, 1.0, 1.0])) == pytest.approx(math.log(2))
    assert math.isnan(log_drop(np.array([2.0, 1.0])))
    assert math.isnan(log_drop(np.array([2.0, 1.0, 0.0])))


def test_the_run_of_true_at_the_end() -> None:
    assert running(np.array([True, False, True, True])) == 2
    assert running(np.array([True, True])) == 0
    assert running(np.array([True, False])) is None
    assert running(np.array([], dtype=bool)) is None


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=80), st.floats(-3, 3), st.floats(0.01, 10))
def test_a_trend_moves_and_stretches_with_its_curve(values: list[float], shift: float, scale: float) -> None:
    line, other = trend(np.array(values)), trend(np.array(values) * scale + shift)
    assert line is not None
    assert other is not None
    assert other.drop == pytest.approx(scale * line.drop, abs=1e-6)
    assert other.start == pytest.approx(scale * line.start + shift, abs=1e-6)
