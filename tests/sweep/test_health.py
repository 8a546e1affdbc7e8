"""A trial is given up for losses that say so, and never for those of a healthy one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_exp.sweep.health import HealthMonitor, HealthRules, mask_chance
from tests.sweep.records import record_curves

LN2 = math.log(2)
RULES = HealthRules(mask_chance=LN2)
Curves = Mapping[str, Sequence[float]]

HEALTHY: Curves = {
    "loss_objectness": [0.6860, 0.6477, 0.5551, 0.3058, 0.0866, 0.0557, 0.0430, 0.0361, 0.0347, 0.0347, 0.0325, 0.0290],
    "loss_rpn_box_reg": [
        0.0074,
        0.0072,
        0.0068,
        0.0084,
        0.0093,
        0.0081,
        0.0069,
        0.0063,
        0.0057,
        0.0057,
        0.0055,
        0.0053,
    ],
    "loss_classifier": [1.1256, 0.7179, 0.6708, 0.6006, 0.6380, 0.6445, 0.7537, 0.6352, 0.5565, 0.4945, 0.5421, 0.5420],
    "loss_box_reg": [0.0934, 0.3859, 0.5382, 0.4601, 0.6609, 0.7759, 0.9750, 0.8615, 0.8558, 0.8098, 0.8394, 0.8285],
    "loss_mask": [1.4982, 1.0019, 0.7865, 0.6906, 0.6571, 0.6035, 0.5545, 0.5021, 0.4800, 0.4472, 0.4006, 0.3758],
}
"""`train dataset.train_size=64 dataset.image_size=96 trainer.epochs=12`, as it was recorded. loss_box_reg grows tenfold
as the proposals get better; loss_mask is above ln 2 for four epochs."""


UNLEARNING: Curves = {
    "loss_objectness": [0.6847, 0.6122, 0.3993, 0.1280, 0.0608, 0.0706],
    "loss_rpn_box_reg": [0.0074, 0.0074, 0.0074, 0.0073, 0.0070, 0.0068],
    "loss_classifier": [1.0540, 0.8708, 0.7614, 0.7432, 0.6245, 0.6463],
    "loss_box_reg": [0.0911, 0.4142, 0.5942, 0.8128, 0.7729, 0.8285],
    "loss_mask": [1.0182, 0.6613, 0.6422, 0.8032, 0.6873, 0.7120],
}
"""The same with optimizer=sgd lr.base=0.02 lr.mask_mult=30 clip=none: the masks learn, then are thrown back."""


def epochs_of(losses: Curves, weights: Mapping[str, float] | None = None) -> list[dict[str, float]]:
    """Return the tags of each epoch: losses, their weighted total, their shares."""
    weights = dict.fromkeys(losses, 1.0) | dict(weights or {})
    epochs = []
    for values in zip(*losses.values(), strict=True):
        weighted = {name: value * weights[name] for name, value in zip(losses, values, strict=True)}
        total = sum(weighted.values())
        epoch = {f"loss/train_{name}": value for name, value in zip(losses, values, strict=True)}
        epoch |= {f"share/{name}": value / total for name, value in weighted.items()}
        epochs.append({**epoch, "loss/train_total": total})
    return epochs


def judge(losses: Curves, rules: HealthRules = RULES, weights: Mapping[str, float] | None = None) -> dict[int, str]:
    """Return the reasons by epoch."""
    monitor = HealthMonitor(rules)
    reasons = {e: monitor.check(e, values) for e, values in enumerate(epochs_of(losses, weights), start=1)}
    return {epoch: reason for epoch, reason in reasons.items() if reason is not None}


def test_a_healthy_run_is_left_alone() -> None:
    assert judge(HEALTHY) == {}


def test_a_mask_head_that_its_learning_rate_throws_back_is_found() -> None:
    assert judge(UNLEARNING) == {
        4: "loss_mask 0.8032 after epoch 4 is again worse than chance (ln 2 = 0.6931)",
        6: "loss_mask 0.7120 after epoch 6 is again at chance (ln 2 = 0.6931)",
    }


@given(factors=st.lists(st.floats(0.9, 1.1), min_size=60, max_size=60))
def test_noise_of_a_tenth_does_not_end_a_healthy_run(factors: list[float]) -> None:
    noise = iter(factors)
    noisy = {name: [value * next(noise) for value in curve] for name, curve in HEALTHY.items()}
    assert judge(noisy, HealthRules()) == {}  # chance is judged without noise above: its margin is 3 %


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["loss_box_reg", "total"])
def test_a_loss_that_is_not_finite(name: str, value: float) -> None:
    first, second = epochs_of({"loss_box_reg": [0.5, 0.5], "loss_mask": [0.5, 0.5]})
    monitor = HealthMonitor(RULES)
    assert monitor.check(1, first) is None
    assert monitor.check(2, {**second, f"loss/train_{name}": value}) == f"{name} is {value} after epoch 2"
    assert monitor.diverged


def test_masks_at_chance_did_not_diverge() -> None:
    monitor = HealthMonitor(RULES)
    epochs = epochs_of({"loss_mask": [0.69, 0.69, 0.69]})
    assert [monitor.check(epoch, values) is None for epoch, values in enumerate(epochs, start=1)] == [True, True, False]
    assert not monitor.diverged


def test_a_loss_many_times_its_first_value_has_exploded() -> None:
    reasons = judge({"loss_box_reg": [0.5, 0.25, 0.25], "loss_mask": [0.5, 0.25, 1.5]})  # 1.5 = 3 · 0.5
    assert reasons == {
        3: "loss_mask 1.5 after epoch 3 has exploded: 6 times its best 0.25; total 1.75, once 0.5",
    }


def test_a_loss_that_rises_twice_to_many_times_its_best_has_exploded() -> None:
    falls_once = {"loss_mask": [2.0, 0.25, 0.5, 0.375, 0.75]}
    assert judge(falls_once, HealthRules()) == {}
    rises_twice = {"loss_mask": [2.0, 0.25, 0.5, 0.625, 0.75]}
    assert list(judge(rises_twice, HealthRules())) == [5]  # 0.75 = 3 · 0.25, far from 3 · 2


def test_the_second_epoch_can_explode_already() -> None:
    assert list(judge({"loss_classifier": [1.0, 2.9], "loss_mask": [0.5, 0.5]}, HealthRules())) == []
    assert list(judge({"loss_classifier": [1.0, 3.0], "loss_mask": [0.5, 0.5]}, HealthRules())) == [2]


def test_a_loss_without_weight_in_the_total_may_jump() -> None:
    """0.001 to 0.02 is noise of a few boxes: 0.019 of a total of 0.9."""
    curves = {"loss_rpn_box_reg": [0.004, 0.001, 0.008, 0.02], "loss_mask": [0.6, 0.5, 0.45, 0.4]}
    assert judge(curves) == {}
    assert list(judge(curves, weights={"loss_rpn_box_reg": 50})) == [4]  # 0.02 · 50 = 1 of 1.4 matters


def test_a_jump_is_not_blamed_for_what_another_loss_does_to_the_total() -> None:
    curves = {"loss_rpn_box_reg": [0.004, 0.001, 0.008, 0.02], "loss_mask": [0.6, 0.4, 0.5, 0.7]}
    assert judge(curves, HealthRules()) == {}  # the total rises by 0.319 of 0.401, by 0.019 through the jump


def test_a_loss_may_grow_where_the_others_fall_as_much() -> None:
    """The sum is what is minimised."""
    curves = {"loss_box_reg": [0.1, 0.4, 0.7, 0.9], "loss_objectness": [0.9, 0.6, 0.3, 0.1]}
    assert judge(curves) == {}


def test_of_several_explosions_the_one_that_adds_most_is_named() -> None:
    (reason,) = judge({"loss_box_reg": [0.25, 2.0], "loss_mask": [0.5, 4.0]}, HealthRules()).values()
    assert reason.startswith("loss_mask 4 after epoch 2 has exploded: 8 times")


def test_masks_at_chance_after_the_warm_up() -> None:
    reasons = judge({"loss_mask": [0.6935, 0.6925, 0.6921, 0.6915], "loss_box_reg": [0.5, 0.4, 0.3, 0.2]})
    assert reasons == {
        3: "loss_mask 0.6921 after epoch 3 is still at chance (ln 2 = 0.6931)",
        4: "loss_mask 0.6915 after epoch 4 is still at chance (ln 2 = 0.6931)",
    }


def test_the_margin_below_chance_belongs_to_it() -> None:
    below, inside = 0.97 * LN2 - 1e-4, 0.97 * LN2 + 1e-4
    assert judge({"loss_mask": [0.69, 0.68, below]}) == {}
    assert list(judge({"loss_mask": [0.69, 0.68, inside]})) == [3]


def test_masks_that_fall_towards_chance_are_learning() -> None:
    assert judge({"loss_mask": [1.6, 1.27, 1.14, 0.95, 0.91, 0.85, 0.69, 0.5]}) == {}


def test_masks_that_stay_above_chance_are_worse_than_a_guess() -> None:
    (reason,) = judge({"loss_mask": [1.6, 0.9, 0.895]}).values()
    assert reason == "loss_mask 0.8950 after epoch 3 is still worse than chance (ln 2 = 0.6931)"


def test_masks_that_fell_back_to_chance() -> None:
    (reason,) = judge({"loss_mask": [0.5, 0.4, 0.69]}).values()
    assert reason == "loss_mask 0.6900 after epoch 3 is again at chance (ln 2 = 0.6931)"


def test_chance_follows_the_mask_loss() -> None:
    assert mask_chance(1.0, 0.0) == pytest.approx(0.693147, abs=1e-6)
    assert mask_chance(0.5, 1.0) is None  # Dice of a guess depends on the masks
    assert mask_chance(0.0, 1.0) is None
    rules = HealthRules(mask_chance=mask_chance(2.0, 0.0))
    (reason,) = judge({"loss_mask": [1.4, 1.39, 1.38]}, rules).values()
    assert reason == "loss_mask 1.3800 after epoch 3 is still at chance (2 · ln 2 = 1.3863)"
    assert judge({"loss_mask": [0.69, 0.69, 0.69]}, rules) == {}  # half of chance
    assert judge({"loss_mask": [0.69, 0.69, 0.69]}, HealthRules(mask_chance=None)) == {}


def test_rules_that_are_off_find_nothing() -> None:
    assert judge({"loss_mask": [0.69, 0.69, 0.69, math.nan]}, HealthRules(enabled=False, mask_chance=LN2)) == {}


UNHEALTHY: Curves = {"loss_mask": [0.5, 0.4, 0.2, 0.4, 0.7, 0.1], "loss_box_reg": [0.5, 0.4, 0.3, 0.2, 0.1, 0.1]}


@pytest.mark.parametrize("behind", range(1, 7))
def test_a_resumed_trial_is_judged_as_if_it_had_never_stopped(tmp_path: Path, behind: int) -> None:
    """Also where the record already holds the epoch that is reported again, and those after it."""
    epochs, undisturbed = epochs_of(UNHEALTHY), judge(UNHEALTHY)
    assert list(undisturbed) == [5]
    recorded = {tag: [epoch[tag] for epoch in epochs[:behind]] for tag in epochs[0]}
    history = record_curves(tmp_path, recorded)
    for start in range(1, behind + 2):
        monitor = HealthMonitor.from_history(RULES, history)
        rest = {e: monitor.check(e, epochs[e - 1]) for e in range(start, len(epochs) + 1)}
        found = {epoch: reason for epoch, reason in rest.items() if reason is not None}
        assert found == {epoch: reason for epoch, reason in undisturbed.items() if epoch >= start}
