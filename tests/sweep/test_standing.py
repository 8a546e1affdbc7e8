"""Who leads, what finished, and why the others did not."""

from __future__ import annotations

import math
import time
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json
from optuna.trial import TrialState

from maskrcnn_exp.sweep.attrs import METRIC, OVERRIDES, SPACE
from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.trial_text import (
    distribution_text,
    number_text,
    reason_of,
    seconds_of,
    train_command,
    value_text,
)
from tests.sweep.study_examples import add, new_study

COMMAND = "python -m maskrcnn_exp train"


def standing(study: optuna.Study) -> Standing:
    return Standing.read(study, Path("multirun/mask_head"))


def test_infinite_value_does_not_lead() -> None:
    study = new_study()
    add(study, {"lr.mask_mult": 1.0}, math.inf)
    add(study, {"lr.mask_mult": 2.0}, 0.3)
    best = standing(study).best
    assert best is not None
    assert best.number == 1


def test_earlier_of_equal_trials_leads() -> None:
    study = new_study(directions=["minimize"])
    for mult in (1.0, 2.0):
        add(study, {"lr.mask_mult": mult}, 0.3)
    assert [trial.number for trial in standing(study).ranked] == [0, 1]


def test_pareto_front_is_optunas_own() -> None:
    study = new_study(("a", "b"), ("maximize", "minimize"))
    rng = __import__("numpy").random.default_rng(0)
    for row in rng.random((60, 2)).round(1):  # rounded: some are equal
        add(study, {}, row.tolist())
    expected = sorted(trial.number for trial in study.best_trials)
    assert [trial.number for trial in standing(study).pareto] == expected


def test_pareto_front_of_a_large_study_takes_no_time() -> None:
    study = new_study(("a", "b"), ("maximize", "minimize"))
    for index in range(1500):
        add(study, {}, [float(index % 37), float(index % 41)])
    now = standing(study)
    start = time.perf_counter()
    assert now.pareto
    assert time.perf_counter() - start < 0.5


def test_reasons_that_differ_in_numbers_are_one_kind() -> None:
    study = new_study()
    add(study, {}, state=TrialState.FAIL, reason="CUDA out of memory")
    for value in ("0.6921", "1.2e-05"):
        add(study, {}, state=TrialState.PRUNED, reason=f"loss_mask {value} is still at chance")
    kinds = [(row.state, row.example, row.differ, row.trials) for row in standing(study).reasons()]
    assert kinds == [
        ("pruned", "loss_mask 0.6921 is still at chance", True, (1, 2)),
        ("failed", "CUDA out of memory", False, (0,)),
    ]


def test_digits_of_a_name_keep_reasons_apart() -> None:
    study = new_study()
    for tag in ("segm_AP50", "segm_AP75"):
        add(study, {}, state=TrialState.FAIL, reason=f"no tag {tag}")
    assert len(standing(study).reasons()) == 2


def test_reason_is_one_line_without_control_characters() -> None:
    study = new_study()
    trial = add(study, {}, state=TrialState.FAIL, reason="first\n\x1b[31msecond\t" + "x" * 500)
    assert reason_of(trial).startswith("first [31msecond xxx")
    assert len(reason_of(trial)) == 160


def test_metric_names_come_from_the_study_then_from_optuna() -> None:
    study = new_study()
    assert standing(study).metrics == ("mAP/segm_AP@best",)
    study.set_user_attr(METRIC, [])
    assert standing(study).metrics == ("value",)


def test_announced_space_stands_before_what_trials_have() -> None:
    study = new_study()
    study.set_user_attr(SPACE, {"clip.norm": distribution_to_json(FloatDistribution(0.5, 2))})
    add(study, {"lr.mask_mult": 1.0, "clip.norm": 1.0}, 0.3)
    now = standing(study)
    assert list(now.space) == ["clip.norm", "lr.mask_mult"]
    assert now.space["clip.norm"] == FloatDistribution(0.5, 2)


def test_command_is_quoted_for_a_shell() -> None:
    trial = add(new_study(), {}, 0.3)
    trial.user_attrs[OVERRIDES] = ["a=[1, 2]", "b='x y'"]
    assert train_command(trial, COMMAND) == f"""{COMMAND} 'a=[1, 2]' 'b='"'"'x y'"'"''"""


def test_trial_of_another_program_gets_its_words_from_its_parameters() -> None:
    study = optuna.create_study()
    study.add_trial(
        optuna.trial.create_trial(
            value=1.0,
            params={"x": 0.1, "flag": True, "none": None},
            distributions={
                "x": FloatDistribution(0, 1),
                "flag": CategoricalDistribution((True, False)),
                "none": CategoricalDistribution((None, "a")),
            },
        )
    )
    command = train_command(study.best_trial, COMMAND, fixed=["trainer.epochs=6"])
    assert command == f"{COMMAND} trainer.epochs=6 x=0.1 flag=true none=null"


def test_time_without_a_workers_count_is_from_start_to_end() -> None:
    study = optuna.create_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    trial = study.trials[0]
    assert trial.duration is not None
    assert seconds_of(trial) == trial.duration.total_seconds() > 0


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (FloatDistribution(0.1, 30, log=True), "0.1 to 30, log"),
        (FloatDistribution(0, 4, step=1), "0 to 4, step 1"),
        (IntDistribution(1, 8), "1 to 8, whole numbers"),
        (IntDistribution(2, 8, step=2), "2 to 8, whole numbers, step 2"),
        (CategoricalDistribution((None, True, "a")), "one of null, true, a"),
    ],
)
def test_distribution_in_words(distribution: optuna.distributions.BaseDistribution, expected: str) -> None:
    assert distribution_text(distribution) == expected


def test_numbers_are_short() -> None:
    assert [number_text(value) for value in (8.314159, 12345.6, 3, True, "sgd")] == [
        "8.314",
        "1.235e+04",
        "3",
        "true",
        "sgd",
    ]
    assert [value_text(value) for value in (0.41234, 1234.5678, 0.00001234, 0.0, math.inf, None)] == [
        "0.4123",
        "1234.6",
        "1.234e-05",
        "0.0000",
        "inf",
        "none",
    ]
