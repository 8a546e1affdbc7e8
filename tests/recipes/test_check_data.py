"""check-data as the command line runs it: exit codes, the report, the repaired file, every kind of dataset."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maskrcnn_exp.errors import ConfigError, DataError
from maskrcnn_exp.recipes.check_data import run_words
from tests.commands import run_command
from tests.data.audit.audits import polygon
from tests.data.coco_files import annotation, image, write_coco, write_picture
from tests.data.test_mask_png import folders

REPOSITORY = Path(__file__).parents[2]
SHAPES = ["dataset=shapes", "dataset.train_size=6", "dataset.val_size=3"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def dataset(folder: Path, *, faults: bool) -> list[str]:
    """Write training and validation files of pictures that differ, and return the overrides that name them."""
    words = ["dataset=coco"]
    for name, ids in (("train", (1, 2, 3)), ("val", (4, 5))):
        images: list[Any] = [image(value, width=100 + value, height=80) for value in ids]
        outline = {"segmentation": [[10, 10, 60, 10, 60, 60]], "bbox": [10, 10, 50, 50], "area": 1275}
        entries: list[Any] = [annotation(value, value, **outline) for value in ids]
        if faults:
            entries += [annotation(ids[0], ids[0], segmentation=polygon(1, 1, 9, 9)), annotation(99, 98)]
        (folder / name).mkdir(parents=True)
        path = write_coco(folder / name, images, entries)
        words += [f"dataset.{name}.images={path.parent}", f"dataset.{name}.annotations={path}"]
    if faults:
        (folder / "train/3.png").write_bytes(b"no picture")
    return words


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return content


def test_a_sound_dataset_has_exit_code_0_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_words([*dataset(tmp_path / "data", faults=False), "output=out"])
    content = report(tmp_path / "out")
    assert (content["errors"], [file["pictures"] for file in content["files"]]) == (0, [3, 2])
    shown = capsys.readouterr().out
    assert "train: 3 usable pictures of 3 (3 read), 3 objects, 1 classes" in shown
    assert "0 errors" in shown
    assert "\x1b" not in shown


def test_errors_are_named_with_their_ids_and_have_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="duplicate-annotation-id") as raised:
        run_words([*dataset(tmp_path / "data", faults=True), "output=out"])
    assert raised.value.exit_code == 3
    content = report(tmp_path / "out")
    ids = {(found["check"], found["split"]): found["ids"] for found in content["findings"]}
    assert ids["duplicate-annotation-id", "val"] == [4]
    assert ids["unknown-image-id", "train"] == [99]
    assert ids["unreadable-picture", "train"] == [3]
    assert Path(content["contact_sheet"]).is_file()
    shown = capsys.readouterr().out
    assert shown.index("errors") < shown.index("unreadable-picture · train · 1 picture: 3") < shown.index("notes")
    assert "← fix=PATH gives a new id." in shown


def test_json_is_all_that_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError):
        run_words([*dataset(tmp_path / "data", faults=True), "json=true", "pictures=false", "output=out"])
    printed = json.loads(capsys.readouterr().out)
    assert printed == report(tmp_path / "out")
    assert "unreadable-picture" not in {found["check"] for found in printed["findings"]}
    assert [file["pictures_read"] for file in printed["files"]] == [0, 0]


def test_fix_writes_both_files_that_pass_and_leaves_the_input_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = dataset(tmp_path / "data", faults=True)
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    run_words([*words, "fix=fixed.json"])
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()} == before
    assert "image 3 (#2): left out: its file cannot be read" in Path("fixed.json.changes.txt").read_text()
    assert "annotation 4 (#2): id 4 → 100" in Path("fixed.val.json.changes.txt").read_text()
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("to train on it: "))
    run_words([*line.removeprefix("to train on it: ").split(), "output=again"])
    assert report(Path("again"))["errors"] == 0
    run_words([*words, "fix=fixed.json"])  # its own files may be written again


def test_fix_refuses_to_overwrite_what_it_did_not_write(tmp_path: Path) -> None:
    words = dataset(tmp_path / "data", faults=True)
    Path("other.json").write_text("mine")
    Path("link.json").symlink_to(tmp_path / "data/train/annotations.json")
    for path, message in (
        ("other.json", "Name a new file"),
        ("link.json", "would overwrite the file that is checked"),
        (f"{tmp_path}/data/val/annotations.json", "would overwrite"),
        ("absent/fixed.json", "no folder absent"),
    ):
        with pytest.raises(ConfigError, match=message):
            run_words([*words, f"fix={path}"])
    with pytest.raises(ConfigError, match="needs dataset=coco"):
        run_words([*SHAPES, "fix=new.json"])
    assert Path("other.json").read_text() == "mine"


def test_what_no_program_can_repair_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1)], [annotation(1, 1, segmentation=None)])
    with pytest.raises(DataError, match="cannot be repaired by a program: it has no masks"):
        run_words(["dataset=coco", f"dataset.train.annotations={path}", "fix=fixed.json"])
    (tmp_path / "via.json").write_text('{"_via_img_metadata": {}}')
    with pytest.raises(DataError, match="not-coco"):
        run_words(["dataset=coco", "dataset.train.annotations=via.json", "fix=fixed.json"])
    assert not Path("fixed.json").exists()


def test_the_configured_model_decides_what_is_too_small(tmp_path: Path) -> None:
    words = [*dataset(tmp_path / "data", faults=False), "pictures=false"]
    run_words([*words, "output=fits"])
    run_words([*words, "model.anchor_sizes=[256,512,1024,2048,4096]", "output=large"])
    small = [
        {found["check"] for found in report(Path(folder))["findings"]} & {"too-small-for-anchors"}
        for folder in ("fits", "large")
    ]
    assert small == [set(), {"too-small-for-anchors"}]


def test_drawn_shapes_are_checked() -> None:
    run_words([*SHAPES, "output=out"])
    content = report(Path("out"))
    assert content["errors"] == 0
    assert [file["pictures"] for file in content["files"]] == [6, 3]


def test_a_folder_of_masks_is_checked_with_its_pictures(tmp_path: Path) -> None:
    folders(tmp_path, ["one", "two", "three"])
    write_picture(tmp_path / "images/alone.jpg")
    with pytest.raises(DataError, match="left-out"):
        run_words(["dataset=mask_png", f"dataset.root={tmp_path}", "output=out"])
    found = {found["check"]: found for found in report(Path("out"))["findings"]}
    assert found["left-out"]["ids"] == ["alone.jpg"]
    assert found["picture-in-train-and-val"]["count"] == 1  # the three pictures are the same


def test_a_damaged_picture_beside_a_sound_mask_is_found(tmp_path: Path) -> None:
    folders(tmp_path, ["one", "two", "three"])
    whole = (tmp_path / "images/two.jpg").read_bytes()
    (tmp_path / "images/two.jpg").write_bytes(whole[:-30])
    with pytest.raises(DataError, match="unreadable-picture"):
        run_words(["dataset=mask_png", f"dataset.root={tmp_path}", "output=out"])
    content = report(Path("out"))
    assert sum(file["usable_pictures"] for file in content["files"]) == 2


@pytest.mark.parametrize(
    "content",
    [
        "null",
        "[1, 2]",
        '{"images": {}, "annotations": {}, "categories": {}}',
        '{"images": [1, null], "annotations": [2, []], "categories": ["x", {}]}',
        '{"images": [{"id": "\\ud800", "file_name": "\\ud800.png", "width": 9, "height": 9}, {"id": 2}], '
        '"annotations": [{"id": "\\ud800", "image_id": "\\ud800"}, {"id": 1e400}], "categories": [{"id": 1e99}]}',
        '{"images": [{"id": 1, "coco_url": "http://[x", "width": -1}], "annotations": [], "categories": [{"id": []}]}',
        "",
    ],
)
def test_nonsense_is_a_finding_not_a_crash(content: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    words = ["dataset=coco", f"dataset.train.annotations={path}", f"dataset.train.images={tmp_path}", "output=out"]
    with pytest.raises(DataError):
        run_words(words)
    assert report(Path("out"))["errors"] > 0
    with pytest.raises(DataError):
        run_words([*words, "fix=fixed.json"])


@pytest.mark.parametrize(
    ("word", "message"), [("json=maybe", "json=maybe must be true or false"), ("fixx=a.json", "fixx")]
)
def test_a_wrong_word_is_a_configuration_error(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_words([*SHAPES, word])


def test_the_command_exits_with_3_for_errors_without_a_traceback(tmp_path: Path) -> None:
    words = dataset(tmp_path / "data", faults=True)
    result = run_command("check-data", *words, cwd=tmp_path)
    assert result.returncode == 3, result.stderr
    assert "Data error: " in result.stderr
    assert "Traceback" not in result.stderr
    assert list((tmp_path / "runs/check_data").glob("*/report.json"))
    assert "fix=PATH" in run_command("check-data", "--help", cwd=tmp_path).stdout


def test_a_coco_file_is_checked_without_importing_torch(tmp_path: Path) -> None:
    """Which takes seconds, in every process that reads pictures too."""
    words = [*dataset(tmp_path / "data", faults=False), "output=out"]
    code = "import sys; from maskrcnn_exp.recipes.check_data import run_words\n"
    code += f"run_words({words}); assert 'torch' not in sys.modules"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
