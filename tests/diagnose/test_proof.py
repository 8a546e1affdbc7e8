"""What two short trainings show, and how it is said."""

from __future__ import annotations

import json
import math

import pytest

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.fork import AS_IT_WAS, PRESCRIBED, Fork
from maskrcnn_exp.diagnose.proof import Arm, Proof, losses_of, prove
from maskrcnn_exp.diagnose.proof_text import proof_json, proof_text
from maskrcnn_exp.diagnose.verdict import Prescription
from tests.diagnose.recorded import made

EPOCHS = range(1, 4)
FORK = Fork(
    "undertrained_part",
    "mask",
    1,
    Prescription(("lr.mask_mult=8",), "evidence"),
    None,
    "the trouble is there from the first epoch on",
    1,
    3,
    {AS_IT_WAS: ["seed=3"], PRESCRIBED: ["seed=3", "lr.mask_mult=8"]},
)


def curves(mask_ap: float, val_loss: float, train_loss: float = 0.6) -> Curves:
    """Three epochs that end with these numbers."""
    return made(
        {
            "mAP/segm_AP": [0.0, mask_ap / 2, mask_ap],
            "mAP/bbox_AP": [0.0, 0.2, 0.3],
            "loss/val_loss_mask": [0.7, 0.65, val_loss],
            "loss/train_loss_mask": [0.7, 0.65, train_loss],
        }
    )


def shown(was: Curves, new: Curves) -> Proof:
    return prove(was, Arm(was), Arm(new), "mask", EPOCHS)


def test_mask_ap_decides_where_it_is_beyond_noise() -> None:
    """Noise of one AP is a point at least, so a gain counts from 3 · √2 = 4.2 points on."""
    proof = shown(curves(0.10, 0.6), curves(0.15, 0.6))
    assert proof.outcome == "better"
    assert proof.compared[0].name == "mask AP"
    assert proof.compared[0].gain == pytest.approx(0.05)
    assert proof.compared[0].noise == pytest.approx(3 * math.sqrt(2) * 0.01)
    assert shown(curves(0.10, 0.6), curves(0.14, 0.6)).outcome == "undecided"
    assert shown(curves(0.15, 0.6), curves(0.10, 0.6)).outcome == "worse"


def test_the_parts_validation_loss_decides_where_mask_ap_cannot() -> None:
    """Noise of a loss is 3 % at least: a gain counts from 3 · √2 · 3 % = 12.7 % on."""
    proof = shown(curves(0.001, 0.6), curves(0.002, 0.5))
    assert (proof.outcome, proof.compared[0].name) == ("better", "validation loss_mask")
    assert proof.compared[0].gain == pytest.approx(1 / 6)
    assert shown(curves(0.001, 0.6), curves(0.002, 0.55)).outcome == "undecided"
    assert shown(curves(0.001, 0.5), curves(0.002, 0.6)).outcome == "worse"


def test_a_contradiction_is_said() -> None:
    assert shown(curves(0.1, 0.5), curves(0.2, 0.6)).says.endswith("although validation loss_mask says the contrary")


def test_noise_is_that_of_the_curves_where_they_are_worse_than_two_seeds() -> None:
    """A run whose mask AP jumps by 5 points from epoch to epoch proves nothing with 10."""
    jumping = made({"mAP/segm_AP": [0.0, 0.2, 0.3, 0.28, 0.17, 0.31, 0.22, 0.36, 0.2, 0.27]})
    was, new = curves(0.20, 0.6), curves(0.30, 0.6)
    assert prove(was, Arm(was), Arm(new), "mask", EPOCHS).outcome == "better"
    assert prove(jumping, Arm(was), Arm(new), "mask", EPOCHS).outcome == "undecided"


def test_a_divergence_that_is_gone_is_better_and_a_new_one_worse() -> None:
    fine, broken = Arm(curves(0.1, 0.6)), Arm(curves(0.1, 0.6), diverged="loss_mask = nan, epoch 2, step 9")
    run = curves(0.1, 0.6)
    assert prove(run, broken, fine, "mask", EPOCHS).outcome == "better"
    assert prove(run, fine, broken, "mask", EPOCHS).outcome == "worse"
    assert prove(run, broken, broken, "mask", EPOCHS).outcome == "undecided"


def test_the_unchanged_fork_is_held_against_the_run() -> None:
    run = curves(0.1, 0.6, train_loss=0.60)
    assert prove(run, Arm(run), Arm(run), "mask", EPOCHS).repeats == 0
    other = curves(0.1, 0.6, train_loss=0.63)
    assert prove(run, Arm(other), Arm(run), "mask", EPOCHS).repeats == pytest.approx(0.05)


def test_a_part_is_judged_by_its_own_losses_and_the_run_by_all() -> None:
    assert losses_of("mask") == ("loss_mask",)
    assert set(losses_of("rpn")) == {"loss_objectness", "loss_rpn_box_reg"}
    assert len(losses_of("backbone")) == len(losses_of("run")) == 5


def test_the_text_has_both_side_by_side_the_answer_and_what_it_cannot_tell() -> None:
    was, new = Arm(curves(0.10, 0.6), still_found=True), Arm(curves(0.15, 0.45))
    proof = prove(was.curves, was, new, "mask", EPOCHS)
    text = proof_text(FORK, proof, {AS_IT_WAS: was, PRESCRIBED: new}, ["seed=3"])
    lines = text.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("mask AP "))
    assert lines[0].split() == ["epoch", "1", "epoch", "2", "epoch", "3"]
    assert lines[place].split() == ["mask", "AP", "as", "it", "was", "0.0000", "0.0500", "0.1000"]
    assert lines[place + 1].split() == ["prescribed", "0.0000", "0.0750", "0.1500"]
    assert "BETTER with the prescription: mask AP is better by more than noise, and so is validation loss_mask." in text
    assert "mask AP: 0.1000 → 0.1500 (+5.0 points, noise ±4.2): better" in text
    assert "validation loss_mask: 0.6000 → 0.4500 (-25%, noise ±13%): better" in text
    assert "undertrained_part is still found: as it was." in text
    assert "whether another seed says the same" in text
    assert "→ python -m maskrcnn_exp train seed=3 lr.mask_mult=8" in text
    assert "with other seeds: python -m maskrcnn_exp train --multirun lr.mask_mult=8 seed=0,1,2" in text


def test_what_is_worse_is_not_prescribed_again() -> None:
    was, new = Arm(curves(0.20, 0.6)), Arm(curves(0.10, 0.6))
    text = proof_text(FORK, prove(was.curves, was, new, "mask", EPOCHS), {AS_IT_WAS: was, PRESCRIBED: new}, [])
    assert "WORSE with the prescription" in text
    assert "→ python" not in text


def test_json_is_plain_and_complete() -> None:
    was, new = Arm(curves(0.10, 0.6)), Arm(curves(0.15, math.nan))
    proof = prove(was.curves, was, new, "mask", EPOCHS)
    plain = proof_json(FORK, proof, {AS_IT_WAS: was, PRESCRIBED: new}, "run", [])
    content = json.loads(json.dumps(plain, allow_nan=False))
    assert content["outcome"] == "better"
    assert content["fork"] == {"checkpoint": None, "why": FORK.why, "first_epoch": 1, "last_epoch": 3}
    assert content["arms"]["prescribed"]["values"]["loss/val_loss_mask"] == [0.7, 0.65, None]
    assert content["compared"][0]["beyond_noise"] is True
