"""Commands that a user can type."""

from __future__ import annotations

import numpy as np
import pytest

from maskrcnn_exp.compose import compose
from maskrcnn_exp.diagnose.prescriptions import (
    check_data,
    clip_of,
    command,
    different_base,
    different_mult,
    rounded,
    tamed_mult,
    train_words,
)
from maskrcnn_exp.diagnose.verdict import Prescription
from tests.diagnose.recorded import recorded, with_facts

SHAPES = recorded("shapes_mult_1")


def typed(*words: str, run: tuple[str, ...] = ()) -> str:
    return command(Prescription(words, ""), run)


def test_the_command_is_what_was_typed_with_the_prescription_on_top() -> None:
    run = ("experiment=nuclei", "lr.mask_mult=1", "seed=3", "run_dir=out")
    assert typed("lr.mask_mult=8", run=run) == ("python -m maskrcnn_exp train experiment=nuclei seed=3 lr.mask_mult=8")


def test_a_trial_is_trained_again_without_its_search() -> None:
    run = ("search=mask_head", "hydra.sweeper.n_trials=4", "hydra/sweeper=optuna", "lr.mask_mult=0.1", "resume=never")
    assert typed("lr.mask_mult=8", run=run) == "python -m maskrcnn_exp train lr.mask_mult=8"


def test_an_exchanged_group_takes_its_keys_along() -> None:
    run = ("clip=per_part", "clip.mask=0.1", "model/mask_loss=bce", "model.fpn_channels=32")
    assert train_words(run, ("clip=global", "clip.norm=4")) == [
        "model/mask_loss=bce",
        "model.fpn_channels=32",
        "clip=global",
        "clip.norm=4",
    ]
    assert train_words(run, ("model/mask_loss=bce_dice",))[-2:] == ["model.fpn_channels=32", "model/mask_loss=bce_dice"]


def test_words_with_blanks_and_brackets_are_quoted() -> None:
    assert "'dataset.root=my data'" in typed("seed=1", run=("dataset.root=my data",))


def test_the_audit_gets_the_words_of_the_data_only() -> None:
    run = ("experiment=nuclei", "dataset.root=data", "lr.base=1", "seed=3")
    assert command(check_data(""), run) == "python -m maskrcnn_exp check-data experiment=nuclei dataset.root=data"


@pytest.mark.parametrize("kind", ["none", "global", "per_part"])
def test_a_prescribed_limit_composes_with_the_runs_way_of_clipping(kind: str) -> None:
    run = [f"clip={kind}"]
    prescription = clip_of(with_facts(SHAPES, clip=kind), "mask", "")
    assert prescription is not None
    config = compose(train_words(run, prescription.words))
    assert ("norm" in config.clip) == (kind != "per_part")


def test_the_limit_for_one_part_is_its_own_percentile() -> None:
    prescription = clip_of(with_facts(SHAPES, clip="per_part"), "mask", "")
    assert prescription is not None
    norms = SHAPES.part_norms("mask")
    assert prescription.words == (f"clip.mask={rounded(float(np.percentile(norms, 90))):g}",)


def test_a_multiplier_is_changed_from_what_it_was() -> None:
    run = with_facts(SHAPES, mult={**SHAPES.facts.mult, "mask": 0.5}, adaptive=False)
    assert different_mult(run, "mask", 6.0, "").words == ("lr.mask_mult=3",)


@pytest.mark.parametrize(
    ("now", "ratio", "prescribed"),
    [
        (1e-5, 40.0, "0.001"),  # 0.0004: as likely as the optimizer's own 0.001
        (1e-5, 10.0, "0.0001"),  # ten times below it
        (0.05, 0.01, "0.0005"),  # SGD's own 0.02 is forty times above
        (0.001, 0.5, "0.0005"),  # what is too fast at the optimizer's own rate gets another one
        (0.0011, 0.5, "0.00055"),  # and near it
        (0.0008, 0.5, "0.0004"),  # never the other way
    ],
)
def test_a_rate_is_the_optimizers_own_where_that_is_as_likely(now: float, ratio: float, prescribed: str) -> None:
    own = 0.02 if now == 0.05 else 0.001
    found = different_base(with_facts(SHAPES, base_lr=now, default_lr=own, adaptive=False), ratio, "why")
    assert found is not None
    assert found.words == (f"lr.base={prescribed}",)
    assert ("optimizer's own rate, 0.001, is within the error of 0.0004" in found.why) == (prescribed == "0.001")


def test_a_burnt_head_gets_the_rate_of_the_others_where_that_is_as_likely() -> None:
    run = with_facts(SHAPES, mult={**SHAPES.facts.mult, "mask": 30.0}, adaptive=False)
    assert tamed_mult(run, "mask", 1 / 60, "").words == ("lr.mask_mult=1",)
    assert tamed_mult(run, "mask", 1 / 300, "").words == ("lr.mask_mult=0.1",)


def test_values_are_rounded_to_two_digits() -> None:
    assert (rounded(8.468), rounded(0.012345), rounded(1234.0)) == (8.5, 0.012, 1200.0)
