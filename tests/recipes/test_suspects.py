"""Suspects at the end of a training and of an evaluation, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from maskrcnn_exp.engine import suspects
from maskrcnn_exp.recipes.evaluate import run_words
from maskrcnn_exp.record.history import History

Train = Callable[..., float | None]


def test_a_small_set_is_not_judged_and_the_file_says_so(train_small: Train, tmp_path: Path) -> None:
    train_small("trainer.epochs=1")
    content = json.loads((tmp_path / "run/suspects.json").read_text())
    assert (content["epoch"], content["suspects"]) == (1, [])
    assert content["not_judged"].endswith("pictures with objects")


def test_without_the_diagnosis_there_is_no_file(train_small: Train, tmp_path: Path) -> None:
    train_small("trainer.epochs=1", "diagnose=none")
    assert not (tmp_path / "run/suspects.json").exists()


def test_suspects_are_named_in_console_tensorboard_and_both_files(
    train_small: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Limits at which a picture of a hardly trained network stands out."""
    for name, value in {"_TRAINED": 0.0, "LEAST_PICTURES": 3, "LIMIT": 0.1, "LEAST_RATIO": 1.0}.items():
        monkeypatch.setattr(suspects, name, value)
    train_small("trainer.epochs=1")
    content = json.loads((tmp_path / "run/suspects.json").read_text())
    first = content["suspects"][0]
    printed = capsys.readouterr().out
    assert f"   {first['file_name']}: loss_mask {first['loss_mask']:.2f} (median " in printed
    assert f"annotation {first['annotations'][0]['id']} " in printed
    assert str(tmp_path / "run/suspects.json") in printed
    assert list(History.read(tmp_path / "run").texts["suspects"]) == [1]

    output = tmp_path / "numbers.json"
    run_words([f"checkpoint={tmp_path / 'run/checkpoints/last.pt'}", f"output={output}", "oracle=false"])
    again = json.loads(output.read_text())["suspects"]
    assert again["suspects"] == content["suspects"]
    assert f"   {first['file_name']}: loss_mask" in capsys.readouterr().out


def test_an_evaluation_with_the_true_boxes_names_annotations_too(
    train_small: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"_TRAINED": 0.0, "LEAST_PICTURES": 3, "LIMIT": 0.1, "LEAST_RATIO": 1.0}.items():
        monkeypatch.setattr(suspects, name, value)
    train_small("trainer.epochs=1")
    output = tmp_path / "numbers.json"
    run_words([f"checkpoint={tmp_path / 'run/checkpoints/last.pt'}", f"output={output}"])
    content = json.loads(output.read_text())["suspects"]
    worst = content["annotations"][0]
    assert worst["id"].startswith(f"{worst['image_id']}/")  # shapes: <picture number>/<object>
    assert (
        f"   {worst['file_name']}: annotation {worst['id']} · mask IoU {worst['mask_iou']:.2f}"
        in capsys.readouterr().out
    )
    by_picture = {a["id"]: a["mask_iou"] for one in content["suspects"] for a in one["annotations"]}
    alone = {a["id"]: a["mask_iou"] for a in content["annotations"]}
    both = by_picture.keys() & alone.keys()  # which pictures are suspects differs between processors
    assert both
    for annotation in both:
        assert by_picture[annotation] == pytest.approx(alone[annotation], abs=1e-4)
