"""Pascal VOC's folders: objects and classes from the masks, void is nobody's, colours instead of numbers, lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskrcnn_exp.data.build import open_datasets
from maskrcnn_exp.data.formats.voc_palette import voc_numbers
from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.schema import VocConfig
from tests.data.coco_files import write_picture
from tests.data.conformance import DatasetConformance

COLOURS = {number: colour for colour, number in voc_numbers().items()}


def blank() -> Any:
    return np.zeros((10, 20), dtype=np.uint8)


def two_objects() -> tuple[Any, Any]:
    """Object 1 of class 15 with a void line around it, object 2 of class 3."""
    objects, classes = blank(), blank()
    objects[1:7, 1:7] = classes[1:7, 1:7] = 255
    objects[2:6, 2:6], classes[2:6, 2:6] = 1, 15
    objects[2:6, 10:18], classes[2:6, 10:18] = 2, 3
    return objects, classes


def write_mask(path: Path, numbers: Any, *, coloured: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if coloured:
        colours = np.vectorize(COLOURS.__getitem__)(numbers)
        pixels = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=2).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        return
    picture = Image.new("P", numbers.shape[::-1])
    picture.putpalette([value for colour in sorted(COLOURS) for value in (colour, 0, 0)])
    picture.putdata(numbers.ravel().tolist())
    picture.save(path)


def voc(root: Path, names: str, masks: tuple[Any, Any] | None = None, *, coloured: bool = False, **lists: str) -> Path:
    """One picture per letter; `lists` are those of ImageSets/Segmentation."""
    objects, classes = masks or two_objects()
    for name in names:
        write_picture(root / f"JPEGImages/{name}.jpg")
        write_mask(root / f"SegmentationObject/{name}.png", objects, coloured=coloured)
        write_mask(root / f"SegmentationClass/{name}.png", classes, coloured=coloured)
    for name, content in lists.items():
        (root / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
        (root / f"ImageSets/Segmentation/{name}.txt").write_text("\n".join(content))
    return root


def opened(root: Path) -> tuple[InstanceDataset, InstanceDataset]:
    return open_datasets(VocConfig(root=str(root)))


class TestConformance(DatasetConformance):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> InstanceDataset:
        voc(tmp_path, "ac", train="abc", val="a")
        return opened(voc(tmp_path, "b", (blank(), blank())))[0]


@pytest.mark.parametrize("coloured", [False, True])
def test_void_belongs_to_no_object_and_classes_are_vocs(coloured: bool, tmp_path: Path) -> None:
    train, val = opened(voc(tmp_path, "ab", coloured=coloured, train="a", val="b"))
    target = train.load(0).target
    assert target["boxes"].tolist() == [[2, 2, 6, 6], [10, 2, 18, 6]]
    assert [train.categories[label - 1].name for label in target["labels"].tolist()] == ["person", "bird"]
    assert train.annotation_ids(0) == ["SegmentationObject/a.png:1", "SegmentationObject/a.png:2"]
    assert (train.image_id(0), val.image_id(0)) == ("JPEGImages/a.jpg", "JPEGImages/b.jpg")
    assert len(train.categories) == 20
    assert "the classes are Pascal VOC's twenty" in train.summary().notes[0]


def test_the_palette_is_the_development_kits() -> None:
    """Table in the kit's documentation: person is (192, 128, 128), tvmonitor (0, 64, 128), void (224, 224, 192)."""
    found = [voc_numbers()[red << 16 | green << 8 | blue] for red, green, blue in ((192, 128, 128), (0, 64, 128))]
    assert (found, COLOURS[255], len(COLOURS)) == ([15, 20], 224 << 16 | 224 << 8 | 192, 256)


@pytest.mark.parametrize(
    ("lists", "counts"),
    [
        ({"train": "ab", "val": "c"}, (2, 1)),
        ({"trainval": "abc", "train": "ab"}, (2, 1)),
        ({"default": "abc"}, (2, 1)),
        ({}, (3, 1)),
    ],
)
def test_lists_give_the_splits_and_without_them_every_mask_counts(
    lists: dict[str, str], counts: tuple[int, int], tmp_path: Path
) -> None:
    assert tuple(map(len, opened(voc(tmp_path, "abcd", **lists)))) == counts


@pytest.mark.parametrize("below", ["VOC2012", "VOCdevkit/VOC2007"])
def test_the_folder_above_is_as_good(below: str, tmp_path: Path) -> None:
    voc(tmp_path / below, "abc")
    assert sum(map(len, opened(tmp_path))) == 3


def test_labelmes_list_of_classes_names_them(tmp_path: Path) -> None:
    objects, classes = two_objects()
    classes[classes == 15] = 1
    voc(tmp_path, "ab", (objects, classes))
    for text in ("__ignore__\n_background_\ncat\ndog\nape", "cat\ndog\nape"):
        (tmp_path / "class_names.txt").write_text(text)
        train, _ = opened(tmp_path)
        assert [train.categories[label - 1].name for label in train.load(0).target["labels"].tolist()] == ["cat", "ape"]


def test_cvats_map_of_labels_names_the_colours(tmp_path: Path) -> None:
    objects, classes = two_objects()
    voc(tmp_path, "ab", (objects, classes), coloured=True)
    red, green, blue = COLOURS[3] >> 16, COLOURS[3] >> 8 & 255, COLOURS[3] & 255
    lines = [
        "# label:color_rgb:parts:actions",
        "background:0,0,0::",
        f"bird:{red},{green},{blue}::",
        "me:192,128,128::",
    ]
    (tmp_path / "labelmap.txt").write_text("\n".join(lines))
    train, _ = opened(tmp_path)
    assert [train.categories[label - 1].name for label in train.load(0).target["labels"].tolist()] == ["me", "bird"]
    (tmp_path / "labelmap.txt").write_text("bird=1,2,3")
    with pytest.raises(DataError, match="is not `name:red,green,blue::`"):
        opened(tmp_path)


def test_without_classes_there_is_one(tmp_path: Path) -> None:
    voc(tmp_path, "ab")
    for mask in (tmp_path / "SegmentationClass").iterdir():
        mask.unlink()
    (tmp_path / "SegmentationClass").rmdir()
    train, _ = opened(tmp_path)
    assert [category.name for category in train.categories] == ["object"]
    assert train.load(0).target["labels"].tolist() == [1, 1]


def test_a_mask_that_cannot_be_used_is_named_and_its_picture_is_no_negative(tmp_path: Path) -> None:
    root = voc(tmp_path, "abcdefgh", train="abcdefg", val="h")
    (root / "SegmentationObject/b.png").write_bytes(b"no picture")
    (root / "SegmentationClass/c.png").unlink()
    write_mask(root / "SegmentationClass/d.png", np.zeros((5, 5), dtype=np.uint8))
    _, classes = two_objects()
    classes[classes == 3] = 0
    write_mask(root / "SegmentationClass/e.png", classes)
    Image.fromarray(np.full((10, 20, 3), 77, dtype=np.uint8)).save(root / "SegmentationObject/f.png")
    (root / "JPEGImages/g.jpg").unlink()
    train, _ = opened(root)
    left_out = train.summary().left_out
    assert left_out == {
        "picture file missing": ["JPEGImages/g.jpg"],
        "picture whose annotations are all unusable": [f"JPEGImages/{name}.jpg" for name in "bcdf"],
        "mask does not open": ["SegmentationObject/b.png", "SegmentationObject/c.png"],
        "SegmentationObject and SegmentationClass differ in size": ["SegmentationObject/d.png"],
        "object without a class in SegmentationClass": ["SegmentationObject/e.png:2"],
        "mask with colours that are not VOC's": ["SegmentationObject/f.png"],
    }
    assert len(train) == 2


def test_a_mask_of_another_size_than_its_picture_is_left_out(tmp_path: Path) -> None:
    root = voc(tmp_path, "abc", train="ab", val="c")
    write_picture(root / "JPEGImages/b.jpg", 30, 30)
    assert opened(root)[0].summary().left_out["RLE size differs from the picture"] == [
        "SegmentationObject/b.png:1",
        "SegmentationObject/b.png:2",
    ]


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "..", "x\\y"])
def test_a_list_names_no_file_outside(name: str, tmp_path: Path) -> None:
    root = voc(tmp_path, "ab", train="a", val="b")
    (root / "ImageSets/Segmentation/train.txt").write_text(f"a\n{name}\n")
    with pytest.raises(DataError, match="is no plain name"):
        opened(root)


def test_a_folder_that_is_not_vocs_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder SegmentationObject"):
        opened(tmp_path)
    (tmp_path / "SegmentationClass").mkdir()
    with pytest.raises(DataError, match="classes of pixels, not objects"):
        opened(tmp_path)
    (tmp_path / "SegmentationObject").mkdir()
    with pytest.raises(DataError, match="no folder of pictures"):
        opened(tmp_path)
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(DataError, match="there is no mask"):
        opened(tmp_path)
