"""How runs are scored, and what the diagnosis scores on the recorded ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.doctor.faults import DATASETS
from benchmarks.doctor.runs_file import Run, read_runs
from benchmarks.doctor.score import Rates, confusion, rates, score_of, split_runs
from tests.benchmarks.doctor.test_runs_file import real_run


def test_a_planted_fault_is_named_with_the_epoch_at_which_it_was_first_named() -> None:
    score = score_of(real_run())
    assert (score.answer, score.severity, score.named) == ("undertrained_part:mask", "severe", True)
    assert score.named_at == score.severe_at == 2
    assert score.named_early  # 2 of 6 epochs


def test_named_after_the_first_40_percent_is_not_early() -> None:
    score = score_of(real_run())
    assert not replace(score, named_at=3).named_early
    assert not replace(score, named_at=None).named_early


def test_the_right_rule_at_another_part_names_nothing() -> None:
    score = score_of(real_run())
    assert not replace(score, answer="undertrained_part:box").named


def test_rates_count_faulty_and_healthy_runs_apart() -> None:
    healthy = score_of(real_run("default", 0, "shapes_mult_1"))
    alarmed = replace(healthy, answer="overfit:mask", severity="severe", severe_at=4)
    over = replace(healthy, severe_at=4)
    faulty = score_of(real_run())
    counted = rates([healthy, alarmed, over, faulty, replace(faulty, answer="none", named_at=None)])
    assert (counted.faulty, counted.named, counted.early) == (2, 1, 1)
    assert (counted.healthy, counted.healthy_severe, counted.healthy_severe_ever, counted.healthy_warned) == (
        3,
        1,
        2,
        1,
    )


def test_the_table_has_a_line_for_each_kind_of_run_with_faults_first() -> None:
    table = confusion([score_of(real_run("default", 0, "shapes_mult_1")), score_of(real_run())])
    _, _, first, second = table.splitlines()
    assert first == "| mask_lr_low | 1 | 1 | 1 | 2 | 1 `undertrained_part:mask` (severe) |"
    assert second.startswith("| healthy: default | 1 |")


def test_runs_that_rules_were_tuned_on_are_not_in_the_report() -> None:
    runs: list[Run] = [real_run(seed=seed) for seed in (0, 1, 2)]
    runs += [replace(real_run(seed=seed), dataset="nuclei") for seed in (0, 1)]
    tuned, report = split_runs(runs)
    assert [(run.dataset, run.seed) for run in tuned] == [("shapes", 0), ("shapes", 1), ("nuclei", 0)]
    assert [(run.dataset, run.seed) for run in report] == [("shapes", 2), ("nuclei", 1)]


def recorded_rates(part: int) -> Rates:
    """Of the runs that rules were tuned on (0), or of the others (1)."""
    runs = [run for dataset in DATASETS for run in read_runs(dataset)]
    return rates(map(score_of, split_runs(runs)[part]))


@pytest.mark.parametrize("part", [0, 1], ids=["tuned on", "report"])
def test_recorded_faults_are_named_early_and_healthy_runs_are_left_alone(part: int) -> None:
    rate = recorded_rates(part)
    if not rate.faulty:
        pytest.skip("no runs are recorded for it yet: python -m benchmarks.doctor.record")
    assert rate.named >= 0.95 * rate.faulty
    assert rate.early >= 0.80 * rate.faulty
    assert rate.healthy_severe <= 0.02 * rate.healthy
