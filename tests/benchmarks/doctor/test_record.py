"""What `record` trains and what it skips, with real runs in the file and no training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.doctor.faults import CASES
from benchmarks.doctor.record import missing
from benchmarks.doctor.runs_file import DATA, Run
from benchmarks.doctor.train_run import words_for
from tests.benchmarks.doctor.test_runs_file import real_run


def recorded(case: str, seed: int = 0) -> Run:
    words = (*words_for(CASES[case], "shapes", seed, Path(DATA)), "run_dir=/somewhere/else")
    run = real_run(case, seed)
    return replace(run, facts=replace(run.facts, overrides=words))


def names(tasks: list[tuple[object, int]]) -> list[tuple[str, int]]:
    return [(getattr(case, "name", ""), seed) for case, seed in tasks]


def test_what_is_recorded_is_not_trained_again() -> None:
    wanted = missing("shapes", [0, 1], [recorded("lr_low")], only=["lr_low", "default"])
    assert names(list(wanted)) == [("default", 0), ("default", 1), ("lr_low", 1)]


def test_a_run_whose_words_have_changed_since_is_trained_again() -> None:
    run = recorded("lr_low")
    old = replace(run, facts=replace(run.facts, overrides=(*run.facts.overrides[:-2], "lr.base=0.0001")))
    assert names(list(missing("shapes", [0], [old], only=["lr_low"]))) == [("lr_low", 0)]


def test_a_fault_that_is_none_on_a_data_set_is_not_trained_there() -> None:
    assert list(missing("nuclei", [0], [], only=["labels_shuffled"])) == []
