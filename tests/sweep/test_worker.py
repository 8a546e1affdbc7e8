"""Small rules of a worker; what it does in a sweep is tested in test_sweep.py and test_launchers.py."""

from __future__ import annotations

import signal

import pytest

from maskrcnn_exp.sweep.settings import SweeperSettings
from maskrcnn_exp.sweep.trial_call import own_signals
from maskrcnn_exp.sweep.worker import failure_limit
from tests.sweep.test_study import OneNumber


def test_a_program_that_leaves_its_signal_handler_behind_does_not_make_the_worker_deaf() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with own_signals():
        signal.signal(signal.SIGTERM, lambda number, frame: None)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("rate", "n_trials", "limit"), [(0.29, 100, 29), (0.3, 6, 1), (0.0, 50, 0), (1.0, 7, 7)])
def test_the_failure_budget_is_the_share_of_all_trials_rounded_down(rate: float, n_trials: int, limit: int) -> None:
    """0.29 * 100 is 28.999999999999996 in binary."""
    assert failure_limit(SweeperSettings(max_failure_rate=rate), OneNumber(n_trials=n_trials)) == limit
