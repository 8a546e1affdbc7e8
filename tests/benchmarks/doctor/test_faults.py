"""The table of runs: every word composes, every fault can be named by a rule that exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.doctor.corruptions import CORRUPTIONS
from benchmarks.doctor.faults import CASES, DATASETS, FAULTS, HEALTHY, Case, cases_of
from benchmarks.doctor.train_run import words_for
from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.config_check import check_or_raise
from maskrcnn_exp.diagnose.diagnosis import RULES
from maskrcnn_exp.model.parts import PARTS


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_run_of_the_table_is_a_valid_command(dataset: str, tmp_path: Path) -> None:
    for case in cases_of(dataset):
        words = words_for(case, dataset, 3, tmp_path)
        config = to_train_config(compose([*words, "run_dir=unused"]))
        check_or_raise(config)
        assert config.seed == 3


def test_a_case_replaces_a_word_of_the_recipe_instead_of_standing_beside_it() -> None:
    words = words_for(CASES["batch_8"], "shapes", 0, Path("data"))
    assert [word for word in words if word.startswith("trainer.batch_size=")] == ["trainer.batch_size=8"]


def test_what_names_a_fault_is_a_rule_and_a_part() -> None:
    rules = {rule.__name__ for rule in RULES}
    for case in FAULTS:
        for name in case.named_by:
            rule, _, part = name.partition(":")
            assert rule in rules, case.name
            assert part in ("", *PARTS), case.name


def test_every_fault_is_compared_with_a_healthy_run_of_its_data_set() -> None:
    for case in FAULTS:
        assert CASES[case.beside].healthy
        assert set(case.only) <= set(CASES[case.beside].only)
        assert not case.corruption or case.corruption in CORRUPTIONS


def test_a_verdict_names_a_fault_by_its_rule_or_by_rule_and_part() -> None:
    anywhere, mask = Case("a", named_by=("not_finite",)), Case("b", named_by=("undertrained_part:mask",))
    assert anywhere.is_named_by("not_finite", "box")
    assert mask.is_named_by("undertrained_part", "mask")
    assert not mask.is_named_by("undertrained_part", "box")
    assert not HEALTHY[0].is_named_by("none", "")
