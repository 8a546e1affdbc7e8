"""Objects among the proposals."""

from __future__ import annotations

from maskrcnn_exp.diagnose.rules.foreground import background_wins, few_foreground, no_foreground
from tests.diagnose.recorded import changed, recorded

SHAPES = recorded("shapes_mult_1")


def test_no_object_among_the_proposals_is_severe_and_the_data_is_looked_at() -> None:
    (verdict,) = no_foreground(changed(SHAPES, roi__foreground=0.02))
    assert (verdict.severity, verdict.part) == ("severe", "data")
    assert verdict.prescription is not None
    assert verdict.prescription.command == "check-data"
    assert few_foreground(changed(SHAPES, roi__foreground=0.02)) == []


def test_few_objects_are_a_warning() -> None:
    assert [one.severity for one in few_foreground(changed(SHAPES, roi__foreground=1.2))] == ["warning"]
    assert few_foreground(SHAPES) == []


def test_an_rpn_that_is_new_finds_few_and_that_is_no_finding() -> None:
    young = changed(recorded("shapes_mult_1", 2), roi__foreground=1.2)  # still warming up
    assert few_foreground(young) == []


def test_a_low_classifier_loss_without_any_box_means_background() -> None:
    won = changed(SHAPES, roi__foreground=0.7, loss__train_loss_classifier=0.1, mAP__bbox_AP=0.0)
    (verdict,) = background_wins(won)
    assert verdict.part == "box"
    assert background_wins(changed(won, mAP__bbox_AP=0.3)) == []
    assert background_wins(changed(won, loss__train_loss_classifier=1.0)) == []
