"""What a user sees, to the letter."""

from __future__ import annotations

import io
import os
import re

import pytest

from maskrcnn_exp.record.console import Console, epoch_block

LOSSES = {
    "loss_objectness": 0.0567,
    "loss_rpn_box_reg": 0.1087,
    "loss_classifier": 0.1456,
    "loss_box_reg": 0.1234,
    "loss_mask": 0.3890,
}

WHOLE_BLOCK = """\
Epoch 5/20
📊 Training Losses:
   Total: 0.8234
   loss_box_reg: 0.1234
   loss_classifier: 0.1456
   loss_mask: 0.3890
   loss_objectness: 0.0567
   loss_rpn_box_reg: 0.1087
📈 Validation Loss: 0.9123
📦 Box mAP: 0.6543 (AP50: 0.8901)
🎭 Mask mAP: 0.2134 (AP50: 0.4567)"""

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")  # all but the line feed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


def test_epoch_block_is_frozen() -> None:
    block = epoch_block(
        5, 20, LOSSES, 0.8234, val_total=0.9123, bbox_ap=0.6543, bbox_ap50=0.8901, segm_ap=0.2134, segm_ap50=0.4567
    )
    assert block == WHOLE_BLOCK


def test_epoch_without_evaluation_leaves_three_lines_out() -> None:
    assert epoch_block(5, 20, LOSSES, 0.8234) == "\n".join(WHOLE_BLOCK.splitlines()[:-3])


def test_notes_stand_behind_the_line_they_are_about() -> None:
    block = epoch_block(
        5,
        20,
        LOSSES,
        0.8234,
        segm_ap=0.2134,
        segm_ap50=0.4567,
        notes={
            "loss_mask": "barely moving: lr.mask_mult=10",
            "segm_ap": "masks lag behind boxes",
            "val_total": "rising since epoch 3",
        },
    )
    lines = block.splitlines()
    assert "   loss_mask: 0.3890        ← barely moving: lr.mask_mult=10" in lines
    assert "🎭 Mask mAP: 0.2134 (AP50: 0.4567)        ← masks lag behind boxes" in lines
    assert lines[-1] == "   val_total        ← rising since epoch 3"  # its line is not shown, the note still is


def test_undefined_and_broken_numbers_are_shown_as_such() -> None:
    block = epoch_block(1, 2, {"loss_mask": float("nan")}, float("inf"), segm_ap=-1.0, segm_ap50=-1.0)
    assert block.splitlines()[2:] == ["   Total: inf", "   loss_mask: nan", "🎭 Mask mAP: n/a (AP50: n/a)"]


def test_in_a_file_the_text_is_plain_and_there_is_no_bar() -> None:
    stream = io.StringIO()
    console = Console(stream)
    with console.progress(10, 0, "epoch 1/2") as bar:
        for _ in range(10):
            bar.advance(LOSSES)
            bar.advance()
    console.print("loss_mask: 0.4        ← [bold] lr.mask_mult=10")
    assert stream.getvalue() == "loss_mask: 0.4        ← [bold] lr.mask_mult=10\n"


def test_output_of_a_pipe_without_utf8_does_not_crash() -> None:
    raw = io.BytesIO()
    console = Console(io.TextIOWrapper(raw, encoding="ascii"))
    console.print("📊 Total: 0.8")
    assert raw.getvalue() == b"? Total: 0.8\n"


def test_terminal_without_utf8_does_not_crash(terminal: Terminal) -> None:
    class AsciiTerminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    raw = io.BytesIO()
    stream = AsciiTerminal(raw, encoding="ascii")
    console = Console(stream)
    with console.progress(2, 0, "Époque") as bar:
        bar.advance()
    console.print("📊 Total: 0.8 ← note")
    stream.flush()
    assert b"? Total: 0.8" in raw.getvalue()


def test_terminal_gets_a_bar_with_time_left_and_losses(terminal: Terminal) -> None:
    console = Console(terminal)
    with console.progress(8, done=3, description="epoch 5/20") as bar:
        bar.advance({"loss_mask": 0.389, "loss_box_reg": 0.1234})
        console.print("above the bar")
    shown = terminal.getvalue()
    assert "epoch 5/20" in shown
    assert "4/8" in shown
    assert "box_reg 0.123 mask 0.389" in shown
    assert "-:--:--" in shown or re.search(r"0:00:\d\d", shown)
    assert "above the bar\n" in shown
    assert CONTROL.search(shown)


def test_terminal_colours_the_note_and_takes_brackets_literally(terminal: Terminal) -> None:
    Console(terminal).print("loss_mask: 0.4 ← [red]mask_mult")
    assert "\x1b[33m← [red]mask_mult" in terminal.getvalue()


def test_no_color_is_honoured(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    Console(terminal).print("loss_mask: 0.4 ← note")
    assert terminal.getvalue() == "loss_mask: 0.4 ← note\n"


def test_long_lines_are_not_broken_on_a_terminal(terminal: Terminal) -> None:
    line = "word " * 60 + "end"
    Console(terminal).print(line)
    assert terminal.getvalue() == line + "\n"


def test_broken_pipe_reaches_the_caller() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    stream = os.fdopen(write_end, "w")
    with pytest.raises(BrokenPipeError):
        Console(stream).print("nobody reads this")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_only_the_first_of_several_processes_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    for first in (True, False):
        console = Console.of_process(first=first)
        console.print("Epoch 1/2" if first else "nothing")
        with console.progress(total_steps=2) as bar:
            bar.advance()
    assert capsys.readouterr().out == "Epoch 1/2\n"
