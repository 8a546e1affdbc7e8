"""`compare` as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from maskrcnn_exp.cli import cli
from maskrcnn_exp.errors import ConfigError, DataError
from tests.compare.runs import write_run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_run(tmp_path / "study/0", 0.5)
    write_run(tmp_path / "study/1", 0.6, mask_mult=10)
    write_run(tmp_path / "study/2", 0.4, mask_mult=100)
    return tmp_path / "study"


def output(*words: str) -> str:
    return CliRunner().invoke(cli, ["compare", *words], catch_exceptions=False).output


def test_it_prints_two_tables_and_a_conclusion(study: Path) -> None:
    printed = output(str(study), "--top", "2")
    assert [line.split()[0] for line in printed.splitlines()[:4]] == ["run", "1", "0", "…"]
    assert "… and 1 more" in printed
    assert "1 (lr.mask_mult 1 → 10): mask AP +10.0 points against 0" in printed


def test_json_has_the_numbers(study: Path) -> None:
    found = json.loads(output(str(study), "--json"))
    assert [group["settings"]["lr.mask_mult"] for group in found["groups"]] == [10, 1, 100]
    assert found["groups"][0]["runs"][0]["best"]["mAP/segm_AP"] == {"epoch": 2, "value": pytest.approx(0.6)}
    assert found["groups"][0]["against_baseline"]["difference"] == pytest.approx(0.1)
    assert found["groups"][1]["baseline"] is True


def test_it_sorts_by_any_tag_and_names_near_ones(study: Path) -> None:
    by_val = output(str(study), "--sort", "loss/val_loss_mask")
    assert "loss/val_loss_mask" in by_val.splitlines()[0]
    with pytest.raises(ConfigError, match=r"--sort mask_pa: no such tag. Did you mean mask_ap"):
        output(str(study), "--sort", "mask_pa")


def test_pictures_go_where_asked(study: Path, tmp_path: Path) -> None:
    printed = output(str(study), "--plot", str(tmp_path / "pictures"))
    assert (tmp_path / "pictures/loss_mask.png").is_file()
    assert printed.endswith(f"8 pictures in {tmp_path / 'pictures'}\n")


def test_a_path_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no record in this folder or below it"):
        output(str(tmp_path))
