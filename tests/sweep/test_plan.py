"""What the trials of a study are."""

from __future__ import annotations

from typing import Any

import optuna

from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.plan import SearchPlan
from maskrcnn_exp.sweep.settings import SweeperSettings
from maskrcnn_exp.sweep.space import SearchSpace


def suggest_nothing(config: Any, trial: Any) -> None:
    """A custom search space that is empty."""


def test_a_fixed_word_never_takes_the_name_of_our_own_attribute() -> None:
    space = SearchSpace({}, ("reason=mine", "lease=mine", "seed=3", "lr.base=0.1"), ())
    settings = SweeperSettings(custom_search_space=f"{__name__}.suggest_nothing")
    trial = optuna.create_study().ask()
    trial.set_user_attr(attrs.LEASE, "worker")
    SearchPlan("s", 1, ("maximize",), space, settings, None).words(trial)
    assert trial.user_attrs == {attrs.LEASE: "worker", "seed": "3", "lr.base": "0.1"}
