"""Where the time goes, and the numbers that would mend it."""

from __future__ import annotations

from maskrcnn_exp.diagnose.rules.time import data_starvation, slow_evaluation
from tests.diagnose.recorded import changed, recorded, with_facts

SHAPES = recorded("shapes_mult_1")


def test_half_of_the_time_waiting_is_a_warning_and_workers_are_counted() -> None:
    """One process loads: 0.5 s of 1 s. To wait a tenth, the other 0.5 s must be 90 %: 0.5 / 0.556 s, one worker."""
    waiting = changed(SHAPES, time__data_s=0.5, time__step_s=1.0)
    (verdict,) = data_starvation(with_facts(waiting, num_workers=0))
    assert verdict.severity == "warning"
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("trainer.num_workers=1",)


def test_workers_that_do_not_keep_up_are_more_in_proportion() -> None:
    """Two workers need 2 s for a batch; 0.2 s of other work leave 0.222 s per step: nine workers."""
    waiting = changed(SHAPES, time__data_s=0.8, time__step_s=1.0)
    (verdict,) = data_starvation(with_facts(waiting, num_workers=2))
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("trainer.num_workers=9",)


def test_the_first_epoch_may_wait() -> None:
    assert data_starvation(changed(SHAPES, time__data_s=[0.9, 0, 0, 0, 0, 0], time__step_s=1.0)) == []


def test_evaluations_of_most_of_the_time_are_a_note_with_their_interval() -> None:
    """180 s after each 60 s of training. A fifth of the time: every 180 · 0.8 / (0.2 · 60) = 12 epochs."""
    (verdict,) = slow_evaluation(changed(SHAPES, time__eval_s=180.0, time__epoch_s=60.0))
    assert verdict.severity == "info"
    assert verdict.prescription is not None
    assert verdict.prescription.words == ("trainer.eval_every_epochs=12",)
    assert slow_evaluation(changed(SHAPES, time__eval_s=20.0, time__epoch_s=5.0)) == []  # seconds
