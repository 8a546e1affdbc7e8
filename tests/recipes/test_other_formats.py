"""Datasets of other formats through the commands: the page of formats, the audit, the way to a COCO file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.data.build import open_datasets
from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.errors import ConfigError, DataError
from maskrcnn_exp.recipes.check_data import run_words
from tests.commands import run_command
from tests.data.coco_files import annotation, image, write_coco, write_picture
from tests.data.formats.test_labelme import labelme, shape
from tests.data.formats.test_voc import voc
from tests.data.formats.test_yolo_seg import SQUARE, yolo
from tests.data.test_mask_png import folders

PAGE = Path(__file__).parents[2] / "docs/your-data.md"
SPLITS = {"train": "images/train", "val": "images/val"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def a_yolo(root: Path) -> None:
    yolo(root, {"train/a": SQUARE, "train/b": "", "val/c": SQUARE}, **SPLITS)


def a_labelme(root: Path) -> None:
    for name in "abcd":
        labelme(root, name, [shape()])


def a_voc(root: Path) -> None:
    voc(root, "abc", train="ab", val="c")


def a_coco(root: Path) -> None:
    write_picture(root / "images/1.png")
    path = write_coco(root, [image(1)], [annotation(1, 1)])
    (root / "annotations").mkdir()
    for split in ("train", "val"):
        (root / f"annotations/instances_{split}.json").write_text(path.read_text())


def a_mask_png(root: Path) -> None:
    folders(root, ["a", "b", "c"])


MAKERS: dict[str, Callable[[Path], None]] = {
    "yolo_seg": a_yolo,
    "labelme": a_labelme,
    "voc": a_voc,
    "coco": a_coco,
    "mask_png": a_mask_png,
}


def documented() -> list[tuple[str, list[str]]]:
    """Command and words of each line of the page that starts a command."""
    lines = re.findall(r"^    python -m maskrcnn_exp (\S+) ([^#\n]+)", PAGE.read_text(), flags=re.MULTILINE)
    return [(command, words.split()) for command, words in lines]


@pytest.mark.parametrize(("command", "words"), documented(), ids=lambda value: " ".join(value)[:40])
def test_every_command_of_the_page_finds_its_data(command: str, words: list[str], tmp_path: Path) -> None:
    kind = words[0].removeprefix("dataset=")
    MAKERS[kind](tmp_path / "FOLDER")
    if command == "check-data":
        run_words(words)
        return
    train, val = open_datasets(to_train_config(compose(words)).dataset)
    assert len(train) >= 1
    assert len(val) >= 1


def test_the_page_has_a_command_for_every_format() -> None:
    assert {words[0].removeprefix("dataset=") for command, words in documented() if command == "train"} == set(MAKERS)


def test_a_yolo_folder_trains(tmp_path: Path) -> None:
    a_yolo(tmp_path / "FOLDER")
    words = ["dataset=yolo_seg", "dataset.root=FOLDER", "trainer=cpu", "trainer.epochs=1", "trainer.limit_batches=1"]
    done = run_command(
        "train", *words, "trainer.num_workers=0", "trainer.batch_size=1", cwd=tmp_path, timeout_seconds=400
    )
    assert done.returncode == 0, done.stderr
    assert "training data: 2 pictures (1 without an instance), 1 instances" in done.stdout


def test_a_missing_root_is_a_matter_of_the_configuration(tmp_path: Path) -> None:
    for words, message in ((["dataset=voc"], "no place"), (["dataset=voc", "dataset.root=absent"], "nothing is there")):
        with pytest.raises(ConfigError, match=message):
            run_words(words)


def test_findings_name_the_line_and_fix_writes_a_coco_file_without_it(tmp_path: Path) -> None:
    labels = {"train/a": f"{SQUARE}\n9 0 0 1 0 1 1\n", "train/b": "", "train/c": "0 0.5 0.5 0.1 0.1", "val/d": SQUARE}
    yolo(tmp_path / "set", labels, **SPLITS)
    with pytest.raises(DataError, match="broken-polygon"):
        run_words(["dataset=yolo_seg", "dataset.root=set", "output=out"])
    found = {one["check"]: one for one in json.loads(Path("out/report.json").read_text())["findings"]}
    assert found["broken-polygon"]["ids"] == ["labels/train/a.txt:2"]
    assert found["no-outline"]["ids"] == ["labels/train/c.txt:1"]
    assert not {"no-box", "no-area", "string-image-id", "string-annotation-id", "picture-without-size"} & set(found)
    run_words(["dataset=yolo_seg", "dataset.root=set", "fix=coco.json", "output=again"])
    content = json.loads(Path("coco.json").read_text())
    assert [(one["id"], one["file_name"]) for one in content["images"]] == [
        (1, "images/train/a.png"),
        (2, "images/train/b.png"),
    ]
    (entry,) = content["annotations"]
    assert (entry["id"], entry["image_id"], entry["source"]) == (1, 1, "labels/train/a.txt:1")
    assert (entry["category_id"], entry["bbox"], entry["area"], entry["iscrowd"]) == (1, [2, 3, 6, 4], 24, 0)
    changes = Path("coco.json.changes.txt").read_text()
    assert "annotation labels/train/c.txt:1 (#2): left out" in changes
    assert "bbox" not in changes


def test_files_that_could_not_be_read_are_errors(tmp_path: Path) -> None:
    a_labelme(tmp_path / "set")
    (tmp_path / "set/broken.json").write_text("{")
    with pytest.raises(DataError, match="left-out"):
        run_words(["dataset=labelme", "dataset.root=set", "output=out"])
    run_words(["dataset=labelme", "dataset.root=set", "fix=coco.json"])
    assert "broken.json: left out: file is not JSON" in Path("coco.json.changes.txt").read_text()


@pytest.mark.parametrize("kind", ["yolo_seg", "labelme", "voc"])
def test_the_coco_file_has_the_masks_of_the_dataset(kind: str, tmp_path: Path) -> None:
    MAKERS[kind](tmp_path / "set")
    run_words([f"dataset={kind}", "dataset.root=set", "fix=coco.json", "pictures=false"])
    config = to_train_config(compose([f"dataset={kind}", "dataset.root=set", "dataset.val_fraction=0.01"])).dataset
    train, val = open_datasets(config)
    converted = CocoDataset.open(Path("coco.json"), Path("set"))
    names = [entry["file_name"] for entry in converted.ground_truth()["images"]]
    parts = [train, val] if kind == "labelme" else [train]
    for part in parts:
        for index in range(len(part)):
            twin = converted.load(names.index(str(part.image_id(index))))
            assert twin.target["masks"].tolist() == part.load(index).target["masks"].tolist()
    assert converted.summary().instances == sum(part.summary().instances for part in parts)
