"""The report says what happened, for every kind of study, and its pictures exist."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from maskrcnn_exp.compare.repeat_stats import RepeatVerdict, compare_arms
from maskrcnn_exp.sweep.report import write_report
from tests.diagnose.recorded import write_run
from tests.sweep.study_examples import CLIP, add, mask_head_study, new_study, record, two_objective_study

COMMAND = "python -m maskrcnn_exp train"


def report(study: optuna.Study, folder: Path, repeat: RepeatVerdict | None = None) -> str:
    path = write_report(study, folder, command=COMMAND, repeat=repeat)
    assert path == folder / "report.md"
    text = path.read_text()
    linked = re.findall(r"\]\((report/[^)]+)\)", text)
    assert all((folder / link).is_file() for link in linked)
    assert {path.name for path in (folder / "report").glob("*")} == {link.removeprefix("report/") for link in linked}
    return text


def test_report_of_a_whole_study_has_every_answer(tmp_path: Path) -> None:
    text = report(mask_head_study(), tmp_path)
    for expected in (
        "Objective: **mAP/segm\\_AP@best**, more is better.",
        "| `lr.mask_mult` | 0.1 to 30, log |",
        "Every trial shares `trainer.epochs=6`.",
        "Trial **12** leads with mAP/segm\\_AP@best = 0.4469",
        f"```sh\n{COMMAND} trainer.epochs=6 lr.mask_mult=7.5428685268304605",
        "Nothing was repeated with other seeds",
        "loss_mask 0.2387 (median 0.3009, -21%)",
        "24 trials finished. Of all 24: 13 completed, 8 pruned, 3 failed.",
        "Pruning saved about 6 min, if each pruned trial had otherwise taken the 73 s of the median completed one.",
        "| 3 | failed | such as: loss\\_mask is not finite at step 47 | trials 7, 10, 18 |",
        "| 4 | pruned | by the pruner | trials 4, 9, 14, 19 |",
        "- lr.mask\\_mult ≥ 21.56: 3 of 3 trials diverged (elsewhere 0 of 21)",
        "![slice lr.mask\\_mult](report/slice_lr.mask_mult.png)",
        "![losses lr.mask\\_mult](report/losses_lr.mask_mult.png)",
        "## The best 10 trials",
    ):
        assert expected in text, expected
    assert len(re.findall(r"^\| \d+ \| 0\.\d{4} \|", text, re.MULTILINE)) == 10


def test_what_is_wrong_with_the_winner_stands_beneath_it_with_its_picture(tmp_path: Path) -> None:
    write_run("shapes_mult_0.02", tmp_path / "12")
    text = report(mask_head_study(), tmp_path)
    for expected in (
        "## What is wrong with the winner\n\n**severe**: The mask head is undertrained",
        f"```sh\n{COMMAND} trainer.epochs=6 seed=0 lr.mask_mult=",
        "![diagnosis](report/diagnosis.png)",
    ):
        assert expected in text, expected
    assert text.index("## Result") < text.index("## What is wrong") < text.index("## Why trials ended early")


def test_a_winner_without_a_fault_is_not_talked_about(tmp_path: Path) -> None:
    write_run("shapes_mult_10", tmp_path / "12")
    assert "## What is wrong with the winner" not in report(mask_head_study(), tmp_path)


def test_verdict_of_the_repeats_stands_in_the_result(tmp_path: Path) -> None:
    verdict = compare_arms(
        [0.43, 0.45, 0.47], [0.40, 0.41, 0.42], "maximize", best_seeds=[1, 2, 3], default_seeds=[1, 2, 3]
    )
    text = report(mask_head_study(), tmp_path, verdict)
    assert "**+4.0 ± 2.5 points over the default: real**" in text
    assert "| winner | 45.0 ± 2.0 points | 3 |" in text
    assert "paired by seed" in text
    assert "Nothing was repeated" not in text


def empty() -> optuna.Study:
    return new_study()


def all_failed() -> optuna.Study:
    study = new_study()
    for mult in (1.0, 2.0):
        add(study, {"lr.mask_mult": mult}, state=TrialState.FAIL, reason="CUDA out of memory | <b>")
    return study


def all_pruned() -> optuna.Study:
    study = new_study()
    for mult in (1.0, 2.0):
        add(study, {"lr.mask_mult": mult}, state=TrialState.PRUNED)
    return study


def all_infinite() -> optuna.Study:
    study = new_study()
    for mult in (1.0, 2.0):
        add(study, {"lr.mask_mult": mult}, math.inf)
    return study


def nothing_finished() -> optuna.Study:
    study = new_study()
    study.enqueue_trial({"lr.mask_mult": 1.0})
    study.ask()
    return study


@pytest.mark.parametrize("make", [empty, all_failed, all_pruned, all_infinite, nothing_finished])
def test_without_a_winner_the_report_says_so(make: Callable[[], optuna.Study], tmp_path: Path) -> None:
    text = report(make(), tmp_path)
    assert "No trial completed with a usable value" in text
    assert "Not known for mAP/segm\\_AP@best: 0 of at least 4 completed trials: too few to tell." in text
    assert "```sh" not in text


def test_pictures_of_an_earlier_report_are_removed(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "slice_old.png").touch()
    report(all_pruned(), tmp_path)
    assert not (tmp_path / "report" / "slice_old.png").exists()


def test_text_of_others_does_not_break_the_tables(tmp_path: Path) -> None:
    assert "CUDA out of memory \\| \\<b\\>" in report(all_failed(), tmp_path)


def test_infinite_trials_are_named(tmp_path: Path) -> None:
    assert "Completed at infinity, and not ranked: trials 0, 1." in report(all_infinite(), tmp_path)


def test_single_trial_is_a_winner(tmp_path: Path) -> None:
    study = new_study()
    add(study, {"lr.mask_mult": 8.0}, 0.4, summary=record())
    text = report(study, tmp_path)
    assert "Trial **0** leads with mAP/segm\\_AP@best = 0.4000: `lr.mask_mult=8`." in text
    assert "## The best 1 trials" in text


def test_conditional_and_categorical_parameters_have_their_pictures(tmp_path: Path) -> None:
    study = new_study()
    space = {"+model/mask_head": CategoricalDistribution(("a|b", None, 3)), "+model@mask.head": FloatDistribution(0, 1)}
    for index in range(12):
        params = {"clip": CLIP.choices[index % 3], "+model/mask_head": ("a|b", None, 3)[index % 3]}
        if params["clip"] == "global":
            params |= {"clip.norm": 1.0 + index, "+model@mask.head": 0.5}
        add(study, params, 0.3 + index / 100, summary=record(), space=space)
    text = report(study, tmp_path)
    for name in ("clip", "clip.norm", "model_mask_head", "model_mask.head"):
        assert (tmp_path / "report" / f"slice_{name}.png").is_file() or f"slice_{name}" in text, name
    assert text.count("![slice") == 4
    assert "| a\\|b |" in text


def test_names_that_differ_in_odd_characters_only_get_two_pictures(tmp_path: Path) -> None:
    study = new_study()
    space = {"a/b": FloatDistribution(0, 1), "a@b": FloatDistribution(0, 1)}
    add(study, {"a/b": 0.1, "a@b": 0.2}, 0.3, space=space)
    links = re.findall(r"\(report/slice[^)]+\)", report(study, tmp_path))
    assert len(set(links)) == 2


def test_several_objectives_have_a_front_instead_of_a_winner(tmp_path: Path) -> None:
    study = two_objective_study()
    text = report(study, tmp_path)
    front = len(study.best_trials)
    assert f"{front} trials form the Pareto front" in text
    assert "![pareto](report/pareto.png)" in text
    assert "## The trials of the Pareto front" in text
    assert "Nothing was repeated" not in text


def test_without_matplotlib_the_text_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed
    text = write_report(mask_head_study(), tmp_path, command=COMMAND).read_text()
    assert "Pictures need matplotlib" in text
    assert "Trial **12** leads" in text
    assert "![" not in text
