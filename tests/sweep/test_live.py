"""What a person sees of a sweep, to the letter."""

from __future__ import annotations

import re
from pathlib import Path

from optuna.trial import TrialState

from maskrcnn_exp.compare.repeat_stats import compare_arms
from maskrcnn_exp.sweep.live import farewell, study_header, trial_line
from maskrcnn_exp.sweep.standing import Standing
from tests.sweep.study_examples import add, new_study, two_objective_study

COMMAND = "python -m maskrcnn_exp train"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")  # all but the line feed


def test_line_of_a_completed_trial_is_frozen() -> None:
    study = new_study()
    best = add(study, {}, 0.4301)
    trial = add(study, {"lr.mask_mult": 8.3141, "clip.norm": 2.1}, 0.41234, seconds=72)
    assert trial_line(trial, 8, 24, best, ["mAP/segm_AP"]) == (
        "8/24  #1  lr.mask_mult=8.314 clip.norm=2.1  mAP/segm_AP 0.4123  1.2 min  best 0.4301 (#0)"
    )


def test_line_of_a_pruned_trial_says_when_and_why() -> None:
    study = new_study()
    reason = "loss_mask 0.6921 is still at chance (ln 2 = 0.6931)"
    trial = add(
        study, {"lr.mask_mult": 0.1}, state=TrialState.PRUNED, reason=reason, reports={1: 0.0, 2: 0.0}, seconds=24
    )
    assert trial_line(trial, 8, 24, None) == (f"8/24  #0  lr.mask_mult=0.1  pruned: {reason}  0.4 min  no best yet")


def test_line_of_a_failed_trial_stays_one_line() -> None:
    study = new_study()
    trial = add(study, {}, state=TrialState.FAIL, reason="CUDA out of memory.\nTried to \x1b[1mallocate", seconds=6)
    line = trial_line(trial, 8, 24, None)
    assert line == "8/24  #0  failed: CUDA out of memory. Tried to [1mallocate  0.1 min  no best yet"
    assert not CONTROL.search(line)


def test_line_of_several_objectives_shows_the_front() -> None:
    study = two_objective_study(3)
    front = Standing.read(study, Path()).pareto
    line = trial_line(study.trials[0], 8, 16, front, ["mAP/segm_AP", "time/step_s"])
    values = study.trials[0].values
    assert f"mAP/segm_AP {values[0]:.4f}  time/step_s {values[1]:.5g}" in line
    assert line.endswith("Pareto front " + " ".join(f"#{trial.number}" for trial in front))


def test_header_names_what_is_searched_and_how_far_it_is() -> None:
    study = new_study()
    add(study, {"lr.mask_mult": 1.0, "clip": "none"}, 0.3)
    assert study_header(
        study, Path("multirun/mask_head"), 24, "postgresql://u:***@h/d", workers=2, methods=["TPE"]
    ) == [
        "study mask_head: maximise mAP/segm_AP@best, 24 trials, 2 at a time",
        "   lr.mask_mult  0.1 to 30, log",
        "   clip          one of none, global, per_part",
        "   TPE",
        "   in multirun/mask_head, kept in postgresql://u:***@h/d",
        "   1 of 24 trials finished before: going on",
    ]


def test_farewell_names_winner_command_verdict_and_report(tmp_path: Path) -> None:
    study = new_study()
    add(study, {"lr.mask_mult": 8.0}, 0.43)
    add(study, {"lr.mask_mult": 0.1}, state=TrialState.PRUNED)
    (tmp_path / "report.md").touch()
    verdict = compare_arms([0.43], [0.41], "maximize")
    assert farewell(study, tmp_path, COMMAND, repeat=verdict, total=24, resume="again") == [
        "study mask_head: 2 of 24 trials finished (1 completed, 1 pruned)",
        "   best: trial 0, mAP/segm_AP@best 0.4300, lr.mask_mult=8",
        f"   lies in {tmp_path / '0'}",
        f"   train it again: {COMMAND} trainer.epochs=6 lr.mask_mult=8.0",
        f"   repeated with other seeds: {verdict.sentence}",
        "   go on: again",
        f"   report: {tmp_path / 'report.md'}",
    ]


def test_farewell_of_a_finished_study_does_not_say_how_to_go_on(tmp_path: Path) -> None:
    study = new_study()
    add(study, {"lr.mask_mult": 8.0}, 0.43)
    assert not any("go on" in line for line in farewell(study, tmp_path, COMMAND, total=1, resume="again"))


def test_farewell_without_a_winner_counts_reasons(tmp_path: Path) -> None:
    study = new_study()
    for _ in range(2):
        add(study, {}, state=TrialState.FAIL, reason="CUDA out of memory")
    assert farewell(study, tmp_path, COMMAND)[1:] == [
        "   no trial completed with a usable value, so there is no best one",
        "   2 × failed: CUDA out of memory",
    ]
