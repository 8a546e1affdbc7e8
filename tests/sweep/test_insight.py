"""Where training explodes, what the winner did to each loss, and time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from maskrcnn_exp.sweep.insight import diverged, explosion_regions, final_losses, loss_changes, time_spent
from maskrcnn_exp.sweep.standing import Standing
from tests.sweep.study_examples import add, new_study, record

NOT_FINITE = "loss_mask is not finite at step 12"


def tried(outcomes: Mapping[float, str]) -> list[optuna.trial.FrozenTrial]:
    """Build trials by multiplier: `ok`, `x` diverged, `pruned` by the pruner, `other` failure."""
    study = new_study()
    for mult, outcome in outcomes.items():
        params = {"lr.mask_mult": mult}
        if outcome == "ok":
            add(study, params, 0.4)
        elif outcome == "pruned":
            add(study, params, state=TrialState.PRUNED)
        else:
            reason = NOT_FINITE if outcome == "x" else "CUDA out of memory"
            add(study, params, state=TrialState.FAIL, reason=reason, diverged=outcome == "x")
    return study.get_trials(deepcopy=False)


def sentences(outcomes: Mapping[float, str]) -> list[str]:
    return [region.sentence for region in explosion_regions(tried(outcomes), "lr.mask_mult")]


def test_region_starts_at_the_lowest_of_the_diverged_trials() -> None:
    outcomes = {1.0: "ok", 28.0: "x", 5.0: "pruned", 21.4: "x", 25.0: "x", 10.0: "ok"}
    assert sentences(outcomes) == ["lr.mask_mult ≥ 21.4: 3 of 3 trials diverged (elsewhere 0 of 3)"]


def test_survivor_inside_is_counted() -> None:
    assert sentences({1.0: "ok", 5.0: "ok", 20.0: "x", 24.0: "ok", 28.0: "x"}) == [
        "lr.mask_mult ≥ 20: 2 of 3 trials diverged (elsewhere 0 of 2)"
    ]


def test_lone_divergence_far_away_does_not_stretch_the_region() -> None:
    # ≥ 0.2: 3 of 6, 3 - 3 = 0. ≥ 20: 2 of 2, 2 - 0 = 2.
    outcomes = {0.1: "ok", 0.2: "x", 1.0: "ok", 2.0: "ok", 3.0: "ok", 20.0: "x", 28.0: "x"}
    assert sentences(outcomes) == ["lr.mask_mult ≥ 20: 2 of 2 trials diverged (elsewhere 1 of 5)"]


def test_smaller_of_two_equal_tails_is_the_region() -> None:
    # ≥ 10: 3 of 4, 3 - 1 = 2. ≥ 20: 2 of 2, 2 - 0 = 2.
    assert sentences({1.0: "ok", 2.0: "ok", 10.0: "x", 12.0: "ok", 20.0: "x", 28.0: "x"}) == [
        "lr.mask_mult ≥ 20: 2 of 2 trials diverged (elsewhere 1 of 4)"
    ]


def test_both_ends_can_explode() -> None:
    assert sentences({0.1: "x", 0.2: "x", 1.0: "ok", 2.0: "ok", 20.0: "x", 28.0: "x"}) == [
        "lr.mask_mult ≤ 0.2: 2 of 2 trials diverged (elsewhere 2 of 4)",
        "lr.mask_mult ≥ 20: 2 of 2 trials diverged (elsewhere 2 of 4)",
    ]


@pytest.mark.parametrize(
    "outcomes",
    [
        {},
        {1.0: "ok", 2.0: "ok"},
        {1.0: "ok", 28.0: "x"},
        {1.0: "x", 2.0: "x", 3.0: "x"},
        {1.0: "ok", 20.0: "x", 24.0: "ok", 25.0: "ok", 26.0: "ok", 28.0: "x"},
        {1.0: "ok", 20.0: "other", 28.0: "other"},
        {1.0: "ok", 2.0: "x", 3.0: "x", 4.0: "ok"},
    ],
    ids=["no_trial", "none", "one_is_an_accident", "everything", "less_than_half", "another_failure", "the_middle"],
)
def test_no_region_without_evidence(outcomes: dict[float, str]) -> None:
    assert sentences(outcomes) == []


def test_failure_for_another_reason_counts_on_neither_side() -> None:
    assert sentences({1.0: "ok", 2.0: "other", 20.0: "x", 22.0: "other", 28.0: "x"}) == [
        "lr.mask_mult ≥ 20: 2 of 2 trials diverged (elsewhere 0 of 1)"
    ]


def test_trials_without_the_parameter_are_left_out() -> None:
    trials = tried({1.0: "ok", 20.0: "x", 28.0: "x"})
    assert explosion_regions(trials, "clip.norm") == ()
    assert explosion_regions(trials, "clip") == ()


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.PRUNED])
@pytest.mark.parametrize("marked", [True, False])
def test_divergence_is_what_the_worker_noted_whatever_the_reason_says(state: TrialState, marked: bool) -> None:
    reason = "FileNotFoundError: runs/nan/explosion.pt"
    assert diverged(add(new_study(), {}, state=state, reason=reason, diverged=marked)) is marked


def test_trial_that_completed_at_infinity_diverged() -> None:
    assert diverged(add(new_study(), {}, math.inf))
    assert not diverged(add(new_study(), {}, 0.3))


def test_losses_that_a_record_lacks_are_absent() -> None:
    study = new_study()
    assert final_losses(add(study, {}, 0.3)) == {}
    summary = record(loss_mask=0.25)
    del summary["losses"]["loss_objectness"]
    assert final_losses(add(study, {}, 0.3, summary=summary)) == {
        "loss_rpn_box_reg": 0.1,
        "loss_classifier": 0.1,
        "loss_box_reg": 0.1,
        "loss_mask": 0.25,
    }


def test_winner_is_held_against_the_median() -> None:
    study = new_study()
    for mask in (0.2, 0.4, 0.5):
        add(study, {}, 1 - mask, summary=record(loss_mask=mask))
    changes = {change.loss: change for change in loss_changes(study.trials[0], study.trials)}
    assert (changes["loss_mask"].winner, changes["loss_mask"].median) == (0.2, 0.4)
    assert changes["loss_mask"].relative == pytest.approx(-0.5)
    assert changes["loss_objectness"].relative == 0


def test_single_trial_has_nothing_to_be_held_against() -> None:
    trial = add(new_study(), {}, 0.4, summary=record())
    assert loss_changes(trial, [trial]) == []


def test_saved_time_is_what_pruned_trials_lack_to_the_median() -> None:
    study = new_study()
    for seconds in (60, 80, 100):
        add(study, {}, 0.4, seconds=seconds)
    for seconds in (30, 90):  # 80 - 30 = 50 saved, the slow one saved nothing
        add(study, {}, state=TrialState.PRUNED, seconds=seconds)
    add(study, {}, state=TrialState.FAIL, seconds=5)
    spent = time_spent(Standing.read(study, Path()))
    assert (spent.total, spent.saved, spent.typical) == (365, 50, 80)


def test_saved_time_is_unknown_without_a_completed_trial() -> None:
    study = new_study()
    add(study, {}, state=TrialState.PRUNED, seconds=30)
    spent = time_spent(Standing.read(study, Path()))
    assert (spent.total, spent.saved) == (30, None)
