"""Quantiles of Student's t."""

from __future__ import annotations

import pytest

from maskrcnn_exp.compare.student_t import student_t_quantile


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.7062047), (2, 4.3026527), (4, 2.7764451), (10, 2.2281389), (30, 2.0422725), (1000, 1.9623391)],
)
def test_t_quantile_is_the_table_of_every_textbook(degrees: float, expected: float) -> None:
    assert student_t_quantile(0.975, degrees) == pytest.approx(expected, abs=1e-7)


def test_t_quantile_agrees_with_scipy_for_broken_degrees_of_freedom() -> None:
    stats = pytest.importorskip("scipy.stats")
    for degrees in (1.0, 1.37, 2.6, 5.5, 17.2, 400.4):
        for probability in (0.6, 0.9, 0.975, 0.9995):
            expected = float(stats.t.ppf(probability, degrees))
            assert student_t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9)
