"""`evaluate` on a trained checkpoint: what holds its mask AP back, printed and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.recipes.evaluate import run_words


@pytest.fixture
def checkpoint(train_small: Callable[..., float | None], tmp_path: Path) -> Path:
    train_small("trainer.epochs=1", "model.score_threshold=0")
    return tmp_path / "run/checkpoints/last.pt"


def test_what_holds_mask_ap_back_is_printed_and_written(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "numbers.json"
    run_words([f"checkpoint={checkpoint}", f"output={output}"])
    text = capsys.readouterr().out
    for line in ("🔍 What holds mask AP back", "Most is lost by the", "boundary AP", "TIDE: points of AP50"):
        assert line in text
    numbers = json.loads(output.read_text())
    report = numbers["mask_ap"]
    assert report["as_is"] == numbers["coco"]["segm"]["AP"]
    assert sum(report["shares"].values()) == pytest.approx(1 - report["as_is"])
    # Six steps of training: nothing is found, but the masks' resolution is what it is.
    assert report["as_is"] < 0.1
    assert 0.5 < report["at_resolution"]["28"] < 1
    assert report["tide_segm"]["ap50"] == pytest.approx(numbers["coco"]["segm"]["AP50"])
    assert set(report["tide_segm"]["dap"]) == set(report["tide_bbox"]["counts"])
    assert report["boundary"]["AP"] <= report["as_is"]

    run_words([f"checkpoint={checkpoint}", f"output={output}", "oracle=false"])
    assert "What holds mask AP back" not in capsys.readouterr().out
    without = json.loads(output.read_text())
    assert without.keys() == numbers.keys() - {"mask_ap"}
    assert (without["losses"], without["coco"]) == (numbers["losses"], numbers["coco"])


def test_oracle_takes_true_or_false_only() -> None:
    with pytest.raises(ConfigError, match="oracle=maybe must be true or false"):
        run_words(["checkpoint=absent.pt", "oracle=maybe"])
