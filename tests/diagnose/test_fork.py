"""Where a run is forked: which verdict, which checkpoint, which epochs and words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from maskrcnn_exp.diagnose.diagnosis import Diagnosis, diagnose
from maskrcnn_exp.diagnose.fork import AS_IT_WAS, PRESCRIBED, choose_start, choose_verdict, plan_fork
from maskrcnn_exp.diagnose.verdict import Prescription, Verdict
from maskrcnn_exp.errors import ConfigError, DataError
from tests.diagnose.recorded import changed, recorded


def save(folder: Path, name: str, epoch: int, step: int) -> Path:
    """Write what a checkpoint says of its moment: `epoch` is under way after `step` optimiser steps."""
    path = folder / "checkpoints" / name
    path.parent.mkdir(exist_ok=True)
    torch.save({"progress": {"epoch": epoch, "step": step}}, path)
    return path


def verdict(*words: str, rule: str = "undertrained_part", **other: object) -> Verdict:
    command = other.pop("command", "train")
    prescription = Prescription(words, "evidence", command)  # type: ignore[arg-type]
    return replace(Verdict(rule, "mask", "severe", 0.9, 5, "It is so.", "so", prescription=prescription), **other)


def diagnosis(*verdicts: Verdict) -> Diagnosis:
    return Diagnosis("run", 6, verdicts, ())


def test_the_newest_checkpoint_from_before_the_trouble(tmp_path: Path) -> None:
    """Trouble since epoch 5: the file of epoch 4 goes on with 5, that of epoch 5 is too late, as is last.pt."""
    save(tmp_path, "epoch_0003.pt", epoch=4, step=30)
    before = save(tmp_path, "epoch_0004.pt", epoch=5, step=40)
    save(tmp_path, "epoch_0005.pt", epoch=6, step=50)
    save(tmp_path, "last.pt", epoch=7, step=60)
    assert choose_start(tmp_path, since=5) == (before, "the newest from before epoch 5, since when it holds", 5)


def test_last_counts_where_the_run_ended_in_the_trouble(tmp_path: Path) -> None:
    """A NaN in epoch 3, saved in the middle of it: the checkpoint is from before the end of epoch 3."""
    save(tmp_path, "best.pt", epoch=3, step=20)
    last = save(tmp_path, "last.pt", epoch=3, step=27)
    assert choose_start(tmp_path, since=3)[::2] == (last, 3)


def test_of_equal_checkpoints_the_one_that_does_not_move(tmp_path: Path) -> None:
    save(tmp_path, "best.pt", epoch=3, step=20)
    named = save(tmp_path, "epoch_0002.pt", epoch=3, step=20)
    save(tmp_path, "last.pt", epoch=3, step=20)
    assert choose_start(tmp_path, since=4)[0] == named


def test_without_one_it_is_the_start_and_says_why(tmp_path: Path) -> None:
    save(tmp_path, "last.pt", epoch=7, step=60)
    (tmp_path / "checkpoints/epoch_0001.pt").write_bytes(b"damaged")
    start, why, epoch = choose_start(tmp_path, since=5)
    assert (start, epoch) == (None, 1)
    assert why.startswith("no checkpoint from before epoch 5 is there (trainer.keep_checkpoints=N")
    assert choose_start(tmp_path, since=1)[1] == "the trouble is there from the first epoch on"


@pytest.mark.parametrize(
    ("word", "fits"),
    [
        ("model.trainable_stages=-1", False),
        ("model/mask_head=small", False),
        ("optimizer=sgd", False),
        ("model/mask_loss=bce_dice", True),
        ("model.image_mean=[0,0,0]", True),
        ("lr.base=0.1", True),
    ],
)
def test_what_a_checkpoint_does_not_fit_starts_anew(word: str, fits: bool, tmp_path: Path) -> None:
    kept = save(tmp_path, "epoch_0002.pt", epoch=3, step=20)
    start, why, _ = choose_start(tmp_path, 4, [word])
    assert start == (kept if fits else None)
    assert fits or why == f"{word} changes what a checkpoint holds"


def test_the_answer_is_tried_unless_a_rule_is_named() -> None:
    first, second = verdict("lr.mask_mult=8"), verdict("lr.base=0.1", rule="plateau", severity="info")
    chosen = choose_verdict(diagnosis(first, second), None)
    assert chosen is not None
    assert chosen[0] is first
    chosen = choose_verdict(diagnosis(first, second), "plateau")
    assert chosen is not None
    assert chosen[1].words == ("lr.base=0.1",)


def test_notes_alone_are_no_fault() -> None:
    assert choose_verdict(diagnosis(verdict("lr.base=0.1", rule="plateau", severity="info")), None) is None


@pytest.mark.parametrize(
    ("found", "rule", "error", "message"),
    [
        (verdict("a=1"), "overfit", ConfigError, "--rule overfit: run has no such verdict. Found: undertrained_part."),
        (verdict(command="check-data"), None, DataError, "no setting mends it.*check-data"),
        (verdict("replay=runs/box"), None, DataError, "maskrcnn_exp train replay=runs/box"),
        (verdict("trainer.epochs=9"), None, ConfigError, "changes the length of the run"),
        (verdict("trainer.num_workers=9"), None, ConfigError, "how long a run takes, not what it learns"),
        (verdict(prescription=None), None, ConfigError, "has no prescription"),
    ],
)
def test_what_cannot_be_tried_says_why(found: Verdict, rule: str | None, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"(?s){message}"):
        choose_verdict(diagnosis(found), rule)


def test_both_trainings_have_the_runs_words_and_differ_by_the_prescription(tmp_path: Path) -> None:
    curves = recorded("shapes_mult_0.02")
    chosen = choose_verdict(diagnose(curves), None)
    assert chosen is not None
    fork = plan_fork(curves, *chosen, tmp_path)
    assert (fork.checkpoint, fork.first_epoch, fork.last_epoch) == (None, 1, 5)  # two epochs of warm-up and three
    was, new = fork.words[AS_IT_WAS], fork.words[PRESCRIBED]
    assert "lr.mask_mult=0.02" in was
    assert "trainer.stop_after_epoch=5" in was
    assert [word for word in new if word not in was] == list(fork.prescription.words)
    assert [word for word in was if word not in new] == ["lr.mask_mult=0.02"]


def test_a_fork_does_not_go_beyond_the_run(tmp_path: Path) -> None:
    curves = recorded("shapes_mult_0.02")
    late = verdict("lr.mask_mult=8", since=6)
    save(tmp_path, "epoch_0005.pt", epoch=6, step=250)
    fork = plan_fork(curves, late, late.prescription or Prescription((), ""), tmp_path, epochs=9)
    assert list(fork.epochs) == [6]


def test_a_foreign_log_cannot_be_forked(tmp_path: Path) -> None:
    curves = changed(recorded("shapes_mult_0.02"))
    foreign = replace(curves, facts=replace(curves.facts, own=False))
    with pytest.raises(ConfigError, match="takes a run of this program"):
        plan_fork(foreign, verdict("lr.base=1"), Prescription(("lr.base=1",), ""), tmp_path)
