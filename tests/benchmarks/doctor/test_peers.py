"""What the other doctors are given, and how their findings are counted."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from benchmarks.doctor.faults import CASES
from benchmarks.doctor.peers import NAMES, judged, peer_table, write_csv
from tests.benchmarks.doctor.test_runs_file import real_run


def test_a_run_becomes_a_table_under_the_names_that_the_tools_look_for(tmp_path: Path) -> None:
    run = real_run()
    write_csv(run, tmp_path / "run.csv")
    with (tmp_path / "run.csv").open() as file:
        rows = list(csv.DictReader(file))
    totals = {int(row["step"]): float(row["train_loss"]) for row in rows if row["train_loss"]}
    assert totals == run.steps["step/total"]
    losses = [float(row["val_loss"]) for row in rows if row["val_loss"]]
    assert losses == list(run.epochs["loss/val"].values())
    assert [int(row["step"]) for row in rows] == sorted(int(row["step"]) for row in rows)
    assert all(float(row["grad_norm"]) > 0 for row in rows if row["train_loss"])


def test_any_finding_that_may_mean_the_fault_names_it_and_notes_alarm_nobody() -> None:
    faulty, healthy = real_run(), replace(real_run(seed=1), case="default")
    findings = {
        "shapes-mask_lr_low-0": {"losslint": [("loss_spike", "warning"), ("stagnation", "info")]},
        "shapes-default-1": {"losslint": [("stagnation", "info")]},
    }
    peer = judged("losslint", [faulty, healthy], findings)
    assert (peer.named, peer.faulty, peer.alarmed, peer.healthy) == (1, 1, 0, 1)
    findings["shapes-default-1"] = {"losslint": [("nan_inf", "error")]}
    assert judged("losslint", [faulty, healthy], findings).alarmed == 1


def test_the_own_diagnosis_stands_below_theirs() -> None:
    nothing = {"runmedic": [], "losslint": [], "training-doctor": []}
    table = peer_table([real_run()], {"shapes-mask_lr_low-0": nothing})
    assert table.splitlines()[2] == "| runmedic | 0 of 1 | 0 of 0 | nothing |"
    assert table.splitlines()[-1] == "| diagnose, first verdict only | 1 of 1 | 0 of 0 | |"


def test_what_a_finding_may_name_is_a_planted_fault() -> None:
    for faults in NAMES.values():
        assert faults <= set(CASES)
