"""Whole sweeps as a user types them: real Hydra, real journal, real processes; only the training is pretended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from maskrcnn_exp.stop import STOP_SIGNALS
from maskrcnn_exp.sweep import attrs
from tests.commands import run_command
from tests.sweep.sweeps import (
    APP,
    MULT,
    folder_of,
    running_workers,
    start_sweep,
    starts_of,
    study_of,
    sweep,
    trials_of,
    wait_until,
)

LONG = ("epochs=12", "epoch_seconds=0.25")
"""Trials of three seconds, long enough to be met in the middle."""


def states(cwd: Path) -> list[str]:
    return [trial.state.name for trial in trials_of(cwd)]


def reasons(cwd: Path) -> list[str]:
    return [trial.user_attrs.get(attrs.REASON, "") for trial in trials_of(cwd)]


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def in_the_middle(cwd: Path, number: int = 0, epochs: int = 3) -> bool:
    """Say whether a trial has that many epochs behind it and is running."""
    if not (folder_of(cwd) / "study.journal").exists():
        return False
    trials = trials_of(cwd)
    return (
        len(trials) > number
        and trials[number].state.name == "RUNNING"
        and len(trials[number].intermediate_values) >= epochs
    )


def lives(process_id: int) -> bool:
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"  # an orphan that nobody waits for is a zombie


FIVE = (MULT, "clip.norm=3", "+extra=7", "~unused", "hydra.sweeper.seed=1", "hydra.sweeper.n_jobs=2")


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished study of five trials by two workers, and what it printed."""
    cwd = tmp_path_factory.mktemp("five")
    done = sweep(cwd, *FIVE, "hydra.sweeper.n_trials=5")
    assert done.returncode == 0, done.stdout
    return cwd, done.stdout


def test_a_study_ends_at_exactly_n_trials_with_a_folder_for_each_number(five: tuple[Path, str]) -> None:
    cwd, said = five
    assert states(cwd) == ["COMPLETE"] * 5
    folders = {path.name for path in folder_of(cwd).iterdir() if path.name.isdigit()}
    assert folders == {"0", "1", "2", "3", "4"}
    assert sorted(re.findall(r"^\d/5  #(\d)  lr.mask_mult=", said, re.MULTILINE)) == ["0", "1", "2", "3", "4"]


def test_best_yaml_and_the_peers_file_name_the_winner(five: tuple[Path, str]) -> None:
    cwd, _ = five
    values = {trial.number: trial.value or 0.0 for trial in trials_of(cwd)}
    winner = max(values, key=lambda number: values[number])
    best = read_yaml(folder_of(cwd) / "best.yaml")["best"]
    params = trials_of(cwd)[winner].params
    assert (best["trial"], best["value"], best["params"]) == (winner, values[winner], params)
    assert best["folder"] == str(folder_of(cwd) / str(winner))
    words = f"clip.norm=3 +extra=7 '~unused' lr.mask_mult={params['lr.mask_mult']!r}"
    assert best["command"] == f"python {APP} {words}"
    peers = read_yaml(folder_of(cwd) / "optimization_results.yaml")
    assert peers == {"name": "optuna", "best_params": params, "best_value": values[winner]}


def test_fixed_words_reach_every_trial_with_plus_and_tilde(five: tuple[Path, str]) -> None:
    cwd, _ = five
    for trial in trials_of(cwd):
        config = read_yaml(folder_of(cwd) / str(trial.number) / ".hydra" / "config.yaml")
        assert (config["clip"]["norm"], config["extra"], "unused" in config) == (3, 7, False)
        assert config["lr"]["mask_mult"] == trial.params["lr.mask_mult"]


def test_a_trials_own_output_goes_to_its_folder(five: tuple[Path, str]) -> None:
    cwd, said = five
    assert "Epoch 5/5" not in said
    assert "Epoch 5/5" in (folder_of(cwd) / "0" / "console.log").read_text()


def test_the_same_command_again_runs_nothing_and_says_so(five: tuple[Path, str]) -> None:
    cwd, _ = five
    again = sweep(cwd, *FIVE, "hydra.sweeper.n_trials=5")
    assert again.returncode == 0, again.stdout
    assert "5 of 5 trials finished before" in again.stdout
    assert [starts_of(cwd, number) for number in range(5)] == [[0]] * 5
    assert len(trials_of(cwd)) == 5


def test_another_search_under_the_same_name_is_refused_with_the_difference(five: tuple[Path, str]) -> None:
    cwd, _ = five
    refused = sweep(cwd, MULT, "clip.norm=4", "+extra=7", "~unused")
    assert refused.returncode != 0
    assert "was clip.norm=3, now clip.norm=4" in refused.stdout
    assert len(trials_of(cwd)) == 5


def test_a_higher_n_trials_goes_on_with_new_points(five: tuple[Path, str]) -> None:
    cwd, _ = five
    before = [trial.params for trial in trials_of(cwd)]
    more = sweep(cwd, *FIVE, "hydra.sweeper.n_trials=7")
    assert more.returncode == 0, more.stdout
    after = [trial.params for trial in trials_of(cwd)]
    assert (after[:5], len(after)) == (before, 7)
    assert len({params["lr.mask_mult"] for params in after}) == 7  # the seeded sampler drew none of its points again


def test_a_grid_tries_each_point_once_and_a_loss_is_minimised(tmp_path: Path) -> None:
    done = sweep(
        tmp_path,
        "lr.mask_mult=1,4",
        "clip.norm=choice(1, 3)",
        "hydra/sweeper/sampler=grid",
        "hydra.sweeper.metric=loss/train_loss_mask@last",
        "hydra.sweeper.n_jobs=2",
    )
    assert done.returncode == 0, done.stdout
    points = sorted((trial.params["lr.mask_mult"], trial.params["clip.norm"]) for trial in trials_of(tmp_path))
    assert points == [(1, 1), (1, 3), (4, 1), (4, 3)]
    assert study_of(tmp_path).direction.name == "MINIMIZE"


def test_two_objectives_end_in_a_pareto_front(tmp_path: Path) -> None:
    done = sweep(
        tmp_path,
        MULT,
        "hydra.sweeper.metric=[mAP/segm_AP, loss/train_loss_mask@last]",
        "stuck_below=3",
        "hydra.sweeper.health.enabled=false",
        "hydra.sweeper.enqueue=[{lr.mask_mult: 2.9}, {lr.mask_mult: 0.2}, {lr.mask_mult: 8.0}]",
        "hydra.sweeper.n_trials=3",
    )
    assert done.returncode == 0, done.stdout
    best = read_yaml(folder_of(tmp_path) / "best.yaml")
    # #2 has the best mask AP and a loss that fell; the other two lose on both counts.
    assert [entry["trial"] for entry in best["pareto"]] == [2]
    assert best["direction"] == ["maximize", "minimize"]
    assert [trial.params["lr.mask_mult"] for trial in trials_of(tmp_path)] == [2.9, 0.2, 8.0]


def test_a_custom_search_space_has_conditional_parameters_and_the_returned_value_counts(tmp_path: Path) -> None:
    done = sweep(
        tmp_path,
        "hydra.sweeper.custom_search_space=spaces.conditional",
        "hydra.sweeper.metric=null",
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.seed=3",
        "epochs=2",
    )
    assert done.returncode == 0, done.stdout
    trials = trials_of(tmp_path)
    assert {"clip.norm" in trial.params for trial in trials} == {True, False}
    assert all(("clip.norm" in trial.params) == (trial.params["lr.mask_mult"] > 1) for trial in trials)
    assert study_of(tmp_path).direction.name == "MAXIMIZE"
    state = read_yaml(folder_of(tmp_path) / "0" / "state.json")
    assert trials[0].value == max(state["epochs"])


def test_a_mistake_in_a_custom_search_space_is_one_message(tmp_path: Path) -> None:
    done = sweep(tmp_path, "hydra.sweeper.custom_search_space=spaces.broken")
    assert done.returncode != 0
    assert "KeyError: 'lr.mask_mlut'" in done.stdout
    assert len(trials_of(tmp_path)) == 1


def test_bad_trials_keep_their_reasons_and_never_end_the_sweep(tmp_path: Path) -> None:
    """One trial each: masks at chance, diverged, sys.exit, good; then one that the pruner stops."""
    done = sweep(
        tmp_path,
        "lr.mask_mult=choice(0.2, 7.9, 0.6, 20.0, 25.0)",
        "stuck_below=0.5",
        "diverges_above=22",
        "exits_above=15",
        "hydra.sweeper.enqueue=[{lr.mask_mult: 0.2}, {lr.mask_mult: 25.0}, {lr.mask_mult: 20.0}, {lr.mask_mult: 7.9}]",
        "hydra/sweeper/sampler=brute_force",  # the one that is left comes last
        "hydra.sweeper.n_trials=5",
        "hydra/sweeper/pruner=median",
        "hydra.sweeper.pruner.n_startup_trials=1",
    )
    assert done.returncode == 0, done.stdout
    assert states(tmp_path) == ["PRUNED", "FAIL", "FAIL", "COMPLETE", "PRUNED"]
    said = reasons(tmp_path)
    assert "still at chance (ln 2 = 0.6931)" in said[0]
    assert said[1] == "step 12, epoch 1: loss_mask = nan. The weights were not touched by this step."
    assert said[2] == "the program left with sys.exit(7)"
    assert re.fullmatch(r"mAP/segm_AP 0\.\d+ after epoch 2 \(MedianPruner\)", said[4])
    assert [trial.user_attrs.get(attrs.DIVERGED) for trial in trials_of(tmp_path)[1:3]] == [True, False]
    for reason in (said[0], said[1], said[2], said[4]):
        assert reason in done.stdout


def test_what_is_tried_first_runs_to_its_end_however_bad(tmp_path: Path) -> None:
    """The winner has to beat it: the pruner stops only what the sampler chose."""
    words = ("lr.mask_mult=choice(7.9, 0.6, 0.5)", "hydra/sweeper/sampler=brute_force", "hydra.sweeper.n_trials=3")
    pruner = "hydra/sweeper/pruner=successive_halving"
    done = sweep(tmp_path, *words, pruner, "hydra.sweeper.enqueue=[{lr.mask_mult: 7.9}, {lr.mask_mult: 0.6}]")
    assert done.returncode == 0, done.stdout
    assert states(tmp_path) == ["COMPLETE", "COMPLETE", "PRUNED"]


def test_more_crashes_than_allowed_end_the_sweep_with_their_reasons(tmp_path: Path) -> None:
    done = sweep(tmp_path, MULT, "crashes_above=0", "hydra.sweeper.n_trials=6")
    assert done.returncode != 0
    assert "2 of 6 trials failed, more than hydra.sweeper.max_failure_rate=0.3 allows (1)" in done.stdout
    assert "#1: RuntimeError: a crash" in done.stdout
    assert states(tmp_path)[:2] == ["FAIL", "FAIL"]
    assert len(states(tmp_path)) <= 3
    assert "Traceback" in (folder_of(tmp_path) / "0" / "console.log").read_text()


def test_what_is_wrong_in_every_trial_halts_the_study_at_once(tmp_path: Path) -> None:
    done = sweep(tmp_path, MULT, "broken=true", "hydra.sweeper.max_failure_rate=1.0")
    assert done.returncode != 0
    assert "the first trial could not start: dataset.root=nowhere must be an existing path" in done.stdout
    assert states(tmp_path) == ["FAIL"]


def test_a_full_disk_ends_the_sweep_and_fails_no_trial(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.touch()
    words = (MULT, f"full_disk={full}", "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2")
    done = sweep(tmp_path, *words)
    assert done.returncode != 0
    assert "WriteError: trial " in done.stdout
    assert "No space left on device. What was saved before is whole." in done.stdout
    assert "The study is kept: the same command goes on with the trial." in done.stdout
    assert set(states(tmp_path)) == {"WAITING"}
    full.unlink()
    done = sweep(tmp_path, *words)
    assert done.returncode == 0, done.stdout
    assert states(tmp_path) == ["COMPLETE"] * 4
    first, *others = starts_of(tmp_path, 0)
    assert first == 0
    assert others[-1] >= 1  # it went on after the epochs that it had


def test_our_own_command_turns_it_into_one_message_and_exit_code_2(tmp_path: Path) -> None:
    done = run_command(
        "train", "--multirun", "hydra/sweeper=optuna", MULT, "dataset=coco", "dataset.root=nowhere", cwd=tmp_path
    )
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        *(pytest.param(number, marks=pytest.mark.slow) for number in STOP_SIGNALS if number != signal.SIGINT),
    ],
)
def test_a_signal_ends_the_sweep_and_the_same_command_goes_on_in_mid_trial(
    number: signal.Signals, tmp_path: Path
) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("ignored here, as under nohup, and what is started ignores it, too")
    words = (MULT, *LONG, "hydra.sweeper.n_trials=1")
    process = start_sweep(tmp_path, *words)
    wait_until(lambda: in_the_middle(tmp_path))
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert "Interrupted" in said  # our own command makes exit code 130 of it, see the slow tests
    assert f"Go on with: python {APP} --multirun" in said
    assert states(tmp_path) == ["WAITING"]
    done = sweep(tmp_path, *words)
    assert done.returncode == 0, done.stdout
    assert states(tmp_path) == ["COMPLETE"]
    first, second = starts_of(tmp_path, 0)
    assert first == 0
    assert second >= 3
    assert "deaths" not in trials_of(tmp_path)[0].user_attrs


def test_a_killed_worker_costs_nobody_else_and_its_trial_goes_on(tmp_path: Path) -> None:
    process = start_sweep(tmp_path, MULT, *LONG, "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2")
    wait_until(lambda: in_the_middle(tmp_path, 0) and in_the_middle(tmp_path, 1))
    workers = running_workers(tmp_path)
    os.kill(workers[0], signal.SIGKILL)
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 0, said
    assert "died (SIGKILL), its trial goes on from its last checkpoint" in said
    assert states(tmp_path) == ["COMPLETE"] * 3
    assert starts_of(tmp_path, 0)[1] >= 3
    assert len(starts_of(tmp_path, 0)) == 2
    assert (starts_of(tmp_path, 1), starts_of(tmp_path, 2)) == ([0], [0])


def test_workers_of_a_killed_driver_stop_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = (MULT, *LONG, "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    process = start_sweep(tmp_path, *words)
    wait_until(lambda: in_the_middle(tmp_path, 0) and in_the_middle(tmp_path, 1))
    workers = list(running_workers(tmp_path).values())
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not any(map(lives, workers)), 10, "workers to end by themselves")
    assert states(tmp_path) == ["WAITING"] * 2  # they saved and gave back
    done = sweep(tmp_path, *words)
    assert done.returncode == 0, done.stdout
    assert states(tmp_path) == ["COMPLETE"] * 2
    assert all(starts_of(tmp_path, number)[1] >= 3 for number in (0, 1))


def test_two_commands_at_once_share_one_study(tmp_path: Path) -> None:
    words = (MULT, "hydra.sweeper.n_trials=10", "epoch_seconds=0.1")
    processes = [start_sweep(tmp_path, *words) for _ in range(2)]
    for process in processes:
        said, _ = process.communicate(timeout=90)
        assert process.returncode == 0, said
        assert "10 trials finished (10 completed)" in said
    assert states(tmp_path) == ["COMPLETE"] * 10
    assert [starts_of(tmp_path, number) for number in range(10)] == [[0]] * 10
    assert len({trial.user_attrs[attrs.LEASE] for trial in trials_of(tmp_path)}) == 2


def test_repeats_take_other_seeds_and_end_in_a_verdict(tmp_path: Path) -> None:
    done = sweep(
        tmp_path,
        "lr.mask_mult=7.9,0.3",
        "clip.norm=3",
        "hydra/sweeper/sampler=grid",
        "hydra.sweeper.repeat_best=3",
        "hydra.sweeper.report=true",
        "hydra.sweeper.n_jobs=2",
        "epochs=3",
    )
    assert done.returncode == 0, done.stdout
    assert "over the default: " in done.stdout
    report = (folder_of(tmp_path) / "report.md").read_text()
    assert "over the default: " in report
    (repeats,) = (folder_of(tmp_path) / "repeat").iterdir()
    composed = [read_yaml(repeats / str(number) / ".hydra" / "config.yaml") for number in range(6)]
    assert [config["seed"] for config in composed] == [1000, 1000, 1001, 1001, 1002, 1002]
    assert [config["lr"]["mask_mult"] for config in composed] == [7.9, 1.0] * 3
    assert {config["clip"]["norm"] for config in composed} == {3}


@pytest.mark.slow
def test_ctrl_c_of_our_own_command_saves_with_exit_code_130(tmp_path: Path, small_training: tuple[str, ...]) -> None:
    words = ("train", "--multirun", "hydra/sweeper=optuna", MULT, "trainer.epochs=200", *small_training)
    environment = {**os.environ, "PYTHONPATH": str(APP.parents[3])}
    process = subprocess.Popen(
        [sys.executable, "-m", "maskrcnn_exp", *words],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: any(tmp_path.rglob("checkpoints/last.pt")), 120, "the first checkpoint")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Go on with: python -m maskrcnn_exp train --multirun hydra/sweeper=optuna" in said
    assert "Traceback" not in said
