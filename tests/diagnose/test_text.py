"""What people read."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_exp.diagnose.diagnosis import Diagnosis, diagnose
from maskrcnn_exp.diagnose.text import console_text, markdown_text, notes_of, sparkline
from maskrcnn_exp.diagnose.verdict import Evidence, Prescription, Verdict
from maskrcnn_exp.record.console import epoch_block
from tests.diagnose.recorded import recorded

NAN = math.nan

VERDICT = Verdict(
    rule="undertrained_part",
    part="mask",
    severity="severe",
    confidence=0.95,
    since=2,
    says="The mask head is undertrained.",
    brief="barely moving",
    line="loss_mask",
    evidence=(Evidence("loss_mask", (0.4, 0.38, 0.37), "barely falls", "0.08–0.20 at the end"), Evidence("x", (1.0,))),
    prescription=Prescription(("lr.mask_mult=10",), "20 times behind"),
)

TEXT = """\
run: epoch 6 of 6 · box AP 0.620 · mask AP 0.591

SEVERE: The mask head is undertrained.
   undertrained_part · mask · since epoch 2 · confidence 95%
   loss_mask                 █▃▁                            0.37  barely falls; the document: 0.08–0.20 at the end
   x                                                           1
   → python -m maskrcnn_exp train trainer.epochs=6 seed=0 lr.mask_mult=10
     20 times behind"""


def test_the_text_of_a_verdict_is_frozen() -> None:
    assert console_text(Diagnosis("run", 6, (VERDICT,), ()), recorded("shapes_mult_1")) == TEXT


def test_a_run_without_fault_says_so() -> None:
    lines = console_text(Diagnosis("run", 6, (), ()), recorded("shapes_mult_1")).splitlines()
    assert lines == ["run: epoch 6 of 6 · box AP 0.620 · mask AP 0.591", "no fault found"]


def test_what_follows_from_a_cause_is_one_line() -> None:
    curves = recorded("shapes_mult_0.02")
    last = console_text(diagnose(curves), curves).splitlines()[-1]
    assert last.startswith("follows from it: ")
    assert "high_loss_low_ap (mask)" in last


def test_the_arrow_in_the_console_is_the_frozen_one() -> None:
    notes = notes_of(Diagnosis("run", 5, (VERDICT,), ()))
    block = epoch_block(5, 20, {"loss_mask": 0.389}, 0.8234, notes=notes)
    assert block.splitlines()[-1] == "   loss_mask: 0.3890        ← barely moving: lr.mask_mult=10"


def test_notes_are_one_per_line_and_three_at_most() -> None:
    lines = ("loss_mask", "loss_mask", "total", "val_total", "bbox_ap")
    verdicts = tuple(
        Verdict(f"rule_{place}", "mask", "warning", 0.9, 1, "", f"brief {place}", line)
        for place, line in enumerate(lines)
    )
    assert notes_of(Diagnosis("run", 1, verdicts, ())) == {
        "loss_mask": "brief 0",
        "total": "brief 2",
        "val_total": "brief 3",
    }


def test_information_is_no_note() -> None:
    info = Verdict("typical_values", "run", "info", 0.5, 1, "", "outside", "total")
    assert notes_of(Diagnosis("run", 1, (info,), ())) == {}


def test_markdown_keeps_the_lines_as_they_are() -> None:
    text = markdown_text(Diagnosis("run", 6, (VERDICT,), ()), recorded("shapes_mult_1"))
    assert text == f"```\n{TEXT}\n```"
    assert markdown_text(Diagnosis("run", 6, (), ()), recorded("shapes_mult_1")) == "no fault found"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "▁▂▃▄▅▆▇█"),
        ([7.0, NAN, 0.0], "█·▁"),
        ([3.0, 3.0], "▁▁"),
        ([NAN, NAN], "··"),
        ([0.0, math.inf, 1.0], "▁·█"),
        ([], ""),
    ],
)
def test_a_sparkline_spans_from_the_least_to_the_greatest(values: list[float], shown: str) -> None:
    assert sparkline(values) == shown


def test_many_values_are_put_together_by_their_means() -> None:
    assert sparkline([0.0] * 50 + [1.0] * 50, width=4) == "▁▁██"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=200), st.integers(1, 40))
def test_a_sparkline_is_never_longer_than_its_width(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)
