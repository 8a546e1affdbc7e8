"""Importances, or a sentence why there are none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import optuna
import pytest

from maskrcnn_exp.sweep.importance import Importance, importances
from maskrcnn_exp.sweep.standing import Standing
from tests.sweep.study_examples import add, mask_head_study, new_study, two_objective_study


def of(study: optuna.Study) -> list[Importance]:
    return importances(study, Standing.read(study, Path()))


@pytest.mark.parametrize("method", ["fANOVA", "PED-ANOVA"])
def test_the_parameter_that_matters_comes_first(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if method == "fANOVA":
        pytest.importorskip("sklearn")
    else:
        monkeypatch.setitem(sys.modules, "sklearn", None)  # as where it is not installed
    (row,) = of(mask_head_study(60))
    assert row.method == method
    assert next(iter(row.shares)) == "lr.mask_mult"
    assert sum(row.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(("direction", "first"), [("maximize", "lr.mask_mult"), ("minimize", "clip.norm")])
def test_ped_anova_looks_at_the_good_end(direction: str, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The multiplier alone makes the high values, the norm alone the low ones."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    study = new_study(directions=[direction])
    rng = np.random.default_rng(0)
    for mult, norm in 10 ** rng.uniform(-1, 1.4, size=(150, 2)):
        value = 1.0 if mult > 15 else (-1.0 if norm > 15 else 0.1 * float(rng.random()))
        add(study, {"lr.mask_mult": float(mult), "clip.norm": float(norm)}, value)
    assert next(iter(of(study)[0].shares)) == first


def test_same_trials_give_the_same_numbers() -> None:
    assert of(mask_head_study()) == of(mask_head_study())


def test_three_trials_are_too_few() -> None:
    study = new_study()
    for mult in (1.0, 2.0, 3.0):
        add(study, {"lr.mask_mult": mult, "clip.norm": mult}, mult)
    assert of(study)[0].problem == "3 of at least 4 completed trials: too few to tell"


def test_equal_values_tell_nothing() -> None:
    study = new_study()
    for mult in (1.0, 2.0, 3.0, 4.0):
        add(study, {"lr.mask_mult": mult, "clip.norm": mult}, 0.5)
    assert of(study)[0].problem == "all completed trials have the same value"


def test_each_objective_has_its_own() -> None:
    study = new_study(("a", "b"), ("maximize", "maximize"))
    for index in range(20):
        first, second = float(1 + index % 5), float(1 + index % 4)
        add(study, {"lr.mask_mult": first, "clip.norm": second}, [first, second])
    rows = of(study)
    assert [row.metric for row in rows] == ["a", "b"]
    assert [next(iter(row.shares)) for row in rows] == ["lr.mask_mult", "clip.norm"]


def test_single_parameter_has_no_importance() -> None:
    rows = of(two_objective_study())
    assert [row.shares for row in rows] == [{}, {}]
    assert all("only parameter" in row.problem for row in rows)
