"""YOLO folders: what Ultralytics accepts is read, what is wrong is left out by line, no path leads out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_exp.data.build import open_datasets
from maskrcnn_exp.data.formats.source import to_coco_file
from maskrcnn_exp.data.formats.yolo_places import label_of
from maskrcnn_exp.data.formats.yolo_seg import read_yolo_seg
from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.schema import YoloSegConfig
from tests.data.coco_files import write_picture
from tests.data.conformance import DatasetConformance

SQUARE = "0 0.1 0.3 0.4 0.3 0.4 0.7 0.1 0.7"  # of 20 × 10 pixels: columns 2 … 7, rows 3 … 6


def yolo(root: Path, labels: dict[str, str | None], **content: object) -> Path:
    """`images/<name>.png` and `labels/<name>.txt`; None for no label file."""
    for name, text in labels.items():
        write_picture(root / f"images/{name}.png")
        if text is not None:
            label = root / f"labels/{name}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(text)
    described = {"train": "images", "names": ["cat", "dog"], **content}
    (root / "data.yaml").write_text(
        yaml.safe_dump({key: value for key, value in described.items() if value is not None})
    )
    return root


def opened(root: Path, **keys: bool) -> tuple[InstanceDataset, InstanceDataset]:
    return open_datasets(YoloSegConfig(root=str(root), **keys))


def left_out(root: Path) -> dict[str, list[str]]:
    train, _ = opened(root)
    return train.summary().left_out


class TestConformance(DatasetConformance):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> InstanceDataset:
        labels = {
            "train/a": SQUARE,
            "train/b": "",
            "train/c": None,
            "train/d": f"{SQUARE}\n1 0.5 0.5 0.9 0.5 0.9 0.9\n",
        }
        return opened(yolo(tmp_path, {**labels, "val/e": SQUARE}, train="images/train", val="images/val"))[0]


def test_a_polygon_gives_the_pixels_that_it_encloses(tmp_path: Path) -> None:
    train, val = opened(yolo(tmp_path, {"train/a": SQUARE, "val/b": SQUARE}, train="images/train", val="images/val"))
    target = train.load(0).target
    assert target["boxes"].tolist() == [[2, 3, 8, 7]]
    assert (train.image_id(0), val.image_id(0)) == ("images/train/a.png", "images/val/b.png")
    assert train.annotation_ids(0) == ["labels/train/a.txt:1"]
    assert [category.name for category in train.categories] == ["cat", "dog"]


def test_without_val_some_pictures_are_held_out(tmp_path: Path) -> None:
    train, val = opened(yolo(tmp_path, dict.fromkeys("abcdef", SQUARE)))
    assert (len(train) + len(val), len(val)) == (6, 1)


def test_empty_and_absent_label_files_are_pictures_of_nothing_and_the_absent_are_counted(tmp_path: Path) -> None:
    places = {"train": "images/train", "val": "images/val"}
    labels = {"train/a": SQUARE, "train/b": "\n", "train/c": None, "val/d": SQUARE}
    train, _ = opened(yolo(tmp_path, labels, **places))
    assert train.summary().negatives == 2
    assert train.summary().notes == (
        "1 pictures have no label file and count as pictures of nothing, images/train/c.png first.",
    )
    train, _ = opened(tmp_path, keep_empty=False)
    assert len(train) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.2 0.2", "no segmentation"),
        ("0 0.5 0.5 0.2 0.2 0.99", "no segmentation"),
        ("7 0.1 0.3 0.4 0.3 0.4 0.7", "class that data.yaml does not name"),
        ("0.5 0.1 0.3 0.4 0.3 0.4 0.7", "class that data.yaml does not name"),
        ("0 0.1 0.3 0.4 0.3 0.4 0.7 0.99", "polygon with an odd number of coordinates"),
        ("0 20 30 40 30 40 70", "corners far outside 0 … 1, perhaps pixels"),
        ("0 0.1 0.3 0.4 nan 0.4 0.7", "line with numbers that are not finite"),
        ("cat 0.1 0.3 0.4 0.3 0.4 0.7", "line with something else than numbers"),
        ("0 0.1 0.3", "polygon with fewer than 3 points"),
        ("0", "polygon with fewer than 3 points"),
        ("0 1.5 1.5 1.6 1.5 1.6 1.6", "mask without a pixel"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_its_picture_is_no_negative(
    line: str, reason: str, tmp_path: Path
) -> None:
    found = left_out(yolo(tmp_path, {"a": f"{SQUARE}\n\n{line}", "b": line, "c": SQUARE, "d": SQUARE}))
    assert found == {
        reason: ["labels/a.txt:3", "labels/b.txt:1"],
        "picture whose annotations are all unusable": ["images/b.png"],
    }


def test_class_numbers_may_begin_anywhere(tmp_path: Path) -> None:
    lines = "7" + SQUARE[1:]
    root = yolo(tmp_path, {"a": f"{lines}\n{SQUARE}", "b": "cat", "c": lines, "d": lines}, names={7: "cat"})
    found = left_out(root)
    assert found["class that data.yaml does not name"] == ["labels/a.txt:2"]
    assert found["line with something else than numbers"] == ["labels/b.txt:1"]


def test_a_label_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    root = yolo(tmp_path, dict.fromkeys("abcd", SQUARE))
    (root / "labels/b.txt").write_bytes(b"\x80\xff\x00")
    assert left_out(root)["label file is not text"] == ["labels/b.txt"]


def test_a_picture_that_does_not_open_is_left_out_with_its_objects(tmp_path: Path) -> None:
    root = yolo(tmp_path, dict.fromkeys("abcd", SQUARE))
    (root / "images/b.png").write_bytes(b"no picture")
    found = left_out(root)
    assert found["picture does not open"] == ["images/b.png"]
    assert found["annotation of a picture that was left out"] == ["labels/b.txt:1"]


def test_boxes_only_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"all 2 annotations are without `segmentation`: boxes only"):
        opened(yolo(tmp_path, dict.fromkeys("ab", "0 0.5 0.5 0.2 0.2")))


@pytest.mark.parametrize(
    "places",
    [
        {"path": "/content/datasets/x", "train": "images/train", "val": "images/val"},  # another machine's path
        {"train": "../train/images", "val": "../valid/images"},  # Roboflow
        {"train": "./images/train", "val": ["images/val"]},
        {"train": "train.txt", "val": "val.txt"},
        {"path": ".", "train": "images/train/", "val": "images/val", "test": None},
    ],
)
def test_the_usual_ways_to_name_pictures(places: dict[str, object], tmp_path: Path) -> None:
    flat = "valid" in str(places["val"])
    yolo(tmp_path, {} if flat else {"train/a": SQUARE, "val/b": SQUARE}, **places)
    if flat:
        for split, name in (("train", "a"), ("valid", "b")):
            write_picture(tmp_path / split / f"images/{name}.png")
            (tmp_path / split / "labels").mkdir()
            (tmp_path / split / f"labels/{name}.txt").write_text(SQUARE)
    (tmp_path / "train.txt").write_text("./images/train/a.png\n\n")
    (tmp_path / "val.txt").write_text(f"{tmp_path}/images/val/b.png\n")
    for root in (tmp_path, tmp_path / "data.yaml"):
        train, val = opened(root)
        assert [Path(str(part.image_id(0))).stem for part in (train, val)] == ["a", "b"]
        assert (train.summary().instances, val.summary().instances) == (1, 1)


def test_a_relative_root_is_read_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yolo(tmp_path / "set", dict.fromkeys("abc", SQUARE), train="train.txt")
    (tmp_path / "set/train.txt").write_text("".join(f"{tmp_path}/set/images/{name}.png\n" for name in "abc"))
    monkeypatch.chdir(tmp_path)
    assert sum(map(len, opened(Path("set")))) == 3
    monkeypatch.chdir(tmp_path / "set")
    assert sum(map(len, opened(Path("data.yaml")))) == 3


@pytest.mark.parametrize("place", ["/etc", "../../etc", "../outside", "images/../../outside"])
def test_no_place_leads_out_of_the_folder(place: str, tmp_path: Path) -> None:
    write_picture(tmp_path / "outside/a.png")
    root = yolo(tmp_path / "set", {"a": SQUARE}, train=place)
    with pytest.raises(DataError, match="is not there, or not below"):
        opened(root)
    (root / "list.txt").write_text("images/a.png\n../outside/a.png\n")
    yolo(root, {}, train="list.txt")
    with pytest.raises(DataError, match="leads out of"):
        opened(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [", "not YAML"),
        ("just text", "holds no keys"),
        ("train: images", "names=None names no classes"),
        ("train: images\nnames: {a: b}", "names no classes"),
        ("names: [a]", "train=None names no pictures"),
        ("names: [a]\ntrain: absent", "train: absent is not there"),
        ("names: [a]\ntrain: labels", "holds no pictures"),
        ("names: [a]\ntrain: images\nkpt_shape: [17, 3]", "keypoints"),
        ("names: !!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_a_data_yaml_that_describes_nothing_says_what_is_missing(text: str, message: str, tmp_path: Path) -> None:
    (yolo(tmp_path, {"a": SQUARE}) / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        opened(tmp_path)


def test_without_a_data_yaml_or_labels_the_message_shows_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data\.yaml(.|\n)*names: \[cat, dog\]"):
        opened(tmp_path)
    with pytest.raises(DataError, match=r"not one of 1 pictures has a label file. Looked for .*/labels/a\.txt"):
        opened(yolo(tmp_path, {"a": None}))


def test_the_last_folder_of_images_is_that_of_labels() -> None:
    assert label_of("images/train/images/a.b.jpg") == "images/train/labels/a.b.txt"
    assert label_of("pictures/a.jpg") == "pictures/a.txt"


@given(text=st.text(alphabet=" \n\t0123456789.-+eEinfa", max_size=60))
def test_any_text_is_read_or_left_out(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("yolo")
    (source,) = read_yolo_seg(yolo(root, {"a": text, "b": SQUARE}))
    assert len(to_coco_file(source).annotations) >= 1
