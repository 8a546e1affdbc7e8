"""labelme folders: every kind of shape, groups, masks; what cannot be used is named by file and shape."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskrcnn_exp.data.build import open_datasets
from maskrcnn_exp.data.formats.labelme_shapes import outline_of_shapes
from maskrcnn_exp.data.rle import Unusable
from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.schema import LabelmeConfig
from tests.data.coco_files import write_picture
from tests.data.conformance import DatasetConformance

SQUARE = [[2, 3], [8, 3], [8, 7], [2, 7]]


def shape(points: Any = SQUARE, label: Any = "cat", kind: str = "polygon", **changes: Any) -> dict[str, Any]:
    entry = {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}
    return {**entry, "description": "", "mask": None, **changes}


def mask_shape(pixels: Any, left: int, top: int, **changes: Any) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(np.array(pixels, dtype=bool)).save(file, format="PNG")
    height, width = np.array(pixels).shape
    corners = [[left, top], [left + width - 1, top + height - 1]]
    return shape(corners, kind="mask", mask=base64.b64encode(file.getvalue()).decode(), **changes)


def labelme(root: Path, name: str, shapes: Any, **changes: Any) -> Path:
    """`<name>.png` of 20 × 10 pixels with `<name>.json`."""
    path = root / f"{name}.json"
    if not path.with_suffix(".png").exists():
        write_picture(path.with_suffix(".png"))
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{path.stem}.png", "imageData": None}
    path.write_text(json.dumps({**content, "imageHeight": 10, "imageWidth": 20, **changes}))
    return root


def opened(root: Path) -> tuple[InstanceDataset, InstanceDataset]:
    return open_datasets(LabelmeConfig(root=str(root)))


def both(root: Path, shapes: Any, **changes: Any) -> InstanceDataset:
    """Picture `train/a` has the shapes, `train/z` and `val/b` a square each."""
    labelme(root, "train/a", shapes, **changes)
    labelme(root, "train/z", [shape()])
    return opened(labelme(root, "val/b", [shape()]))[0]


def masks(dataset: InstanceDataset, index: int = 0) -> Any:
    return dataset.load(index).target["masks"].numpy()


class TestConformance(DatasetConformance):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> InstanceDataset:
        labelme(tmp_path, "train/empty", [])
        return both(tmp_path, [shape(), mask_shape([[1, 0], [1, 1]], 5, 5, label="dog")])


def test_a_polygon_and_a_rectangle_give_the_same_mask_and_rectangles_are_counted(tmp_path: Path) -> None:
    data = both(tmp_path, [shape(), shape([[8, 7], [2, 3]], kind="rectangle"), shape(kind="oriented_rectangle")])
    assert masks(data).sum(axis=(1, 2)).tolist() == [24, 24, 24]
    assert np.array_equal(masks(data)[0], masks(data)[1])
    assert data.annotation_ids(0) == ["train/a.json:1", "train/a.json:2", "train/a.json:3"]
    assert "1 rectangles count as masks of their whole area." in data.summary().notes


def test_a_circle_has_the_area_of_a_circle(tmp_path: Path) -> None:
    write_picture(tmp_path / "train/a.png", 100, 100)
    circle = shape([[50, 50], [50, 80]], kind="circle")
    data = both(tmp_path, [circle], imageWidth=100, imageHeight=100)
    assert masks(data).sum() == pytest.approx(math.pi * 900, rel=0.02)


def test_a_mask_is_put_between_its_corners_both_included(tmp_path: Path) -> None:
    drawn = masks(both(tmp_path, [mask_shape([[1, 0, 1], [1, 1, 1]], 4, 2)]))[0]
    assert np.argwhere(drawn).tolist() == [[2, 4], [2, 6], [3, 4], [3, 5], [3, 6]]


def test_a_mask_that_reaches_out_of_the_picture_is_cut(tmp_path: Path) -> None:
    drawn = masks(both(tmp_path, [mask_shape(np.ones((4, 4)), -2, -1), mask_shape(np.ones((4, 4)), 18, 8)]))
    assert [np.argwhere(mask).tolist()[-1] for mask in drawn] == [[2, 1], [9, 19]]
    assert drawn.sum(axis=(1, 2)).tolist() == [6, 4]


def test_shapes_of_one_group_and_label_are_one_object(tmp_path: Path) -> None:
    far = [[12, 3], [15, 3], [15, 7]]
    data = both(tmp_path, [shape(group_id=1), shape(far, group_id=1), shape(far, label="dog", group_id=1), shape(far)])
    assert data.load(0).target["labels"].tolist() == [1, 2, 1]
    assert data.load(0).target["boxes"].tolist()[0] == [2, 3, 15, 7]
    mixed = both(tmp_path, [shape(group_id=1), mask_shape([[1]], 15, 8, group_id=1)])
    assert masks(mixed).sum() == 25


def test_both_splits_have_the_same_classes_and_labels_txt_gives_their_order(tmp_path: Path) -> None:
    labelme(tmp_path, "train/a", [shape()])
    train, val = opened(labelme(tmp_path, "val/b", [shape(label="ape")]))
    assert [category.name for category in train.categories] == ["ape", "cat"]
    assert train.categories == val.categories
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nzebra\ncat\n")
    assert [category.name for category in opened(tmp_path)[0].categories] == ["zebra", "cat", "ape"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (shape([[1, 1]], kind="point"), "shape of the kind point, which has no area"),
        (shape([[1, 1], [5, 5]], kind="line"), "shape of the kind line, which has no area"),
        (shape(kind="linestrip"), "shape of the kind linestrip, which has no area"),
        (shape([[1, 1], [5, 5]]), "polygon with 2 points"),
        (shape([[1, 1]], kind="rectangle"), "rectangle with 1 points"),
        (shape([[1, 1], [2, "x"]]), "shape with something else than points"),
        (shape([[1, 1], [2, 2], [1e9, 3]]), "shape with something else than points"),
        (shape([[1, 1], [2, 2], [math.nan, 3]]), "shape with something else than points"),
        (shape(None), "shape with something else than points"),
        (shape([[1, 1], [2, 2]], kind="mask"), "mask without pixels"),
        (shape([[1, 1], [2, 2]], kind="mask", mask="AAAA"), "mask that does not decode"),
        ({**mask_shape([[1, 1]], 3, 3), "points": [[3, 3], [9, 9]]}, "mask of another size than its corners"),
        (mask_shape([[0, 0]], 3, 3), "mask without a pixel"),
        (shape([[30, 30], [40, 30], [40, 40]]), "mask without a pixel"),
        (shape(label=None), "unknown category_id"),
        (shape(label=["cat"]), "unknown category_id"),
        ("no shape", "unknown category_id"),
    ],
)
def test_a_shape_that_cannot_be_used_is_named(entry: Any, reason: str, tmp_path: Path) -> None:
    assert both(tmp_path, [shape(), entry]).summary().left_out == {reason: ["train/a.json:2"]}
    left_out = both(tmp_path, [entry]).summary().left_out
    assert left_out["picture whose annotations are all unusable"] == ["train/a.png"]


def test_a_mask_for_a_picture_without_end_is_not_drawn() -> None:
    found = outline_of_shapes([mask_shape([[1]], 0, 0)], (10**6, 10**6))
    assert isinstance(found, Unusable)


def test_files_that_are_not_labelmes_are_named_and_pictures_without_file_counted(tmp_path: Path) -> None:
    for folder in ("train", "val"):
        (tmp_path / folder).mkdir()
    (tmp_path / "train/broken.json").write_text('{"shapes": [')
    (tmp_path / "train/other.json").write_text('{"images": []}')
    write_picture(tmp_path / "train/new.png")
    summary = both(tmp_path, [shape()]).summary()
    assert summary.left_out == {
        "file is not JSON": ["train/broken.json"],
        "JSON file is not labelme's": ["train/other.json"],
    }
    assert summary.notes == ("1 pictures have no JSON file and are not used, train/new.png first.",)
    assert summary.negatives == 0


def test_a_picture_is_found_where_the_file_says_or_beside_it(tmp_path: Path) -> None:
    write_picture(tmp_path / "pictures/a.png")
    for named in ("../pictures/a.png", "..\\pictures\\a.png"):
        labelme(tmp_path, "json/a", [shape()], imagePath=named)
        labelme(tmp_path, "json/b", [shape()], imagePath="C:\\Users\\me\\b.png")
        labelme(tmp_path, "json/c", [shape()], imagePath="renamed.png")
        train, val = opened(tmp_path)
        names = sorted(str(part.image_id(index)) for part in (train, val) for index in range(len(part)))
        assert names == ["json/b.png", "json/c.png", "pictures/a.png"]


def test_an_image_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "outside.png")
    for named in ("../../outside.png", "/etc/passwd", str(tmp_path / "outside.png")):
        labelme(tmp_path / "set", "json/a", [shape()], imagePath=named)
        (tmp_path / "set/json/a.png").unlink()
        with pytest.raises(DataError, match="leads out of"):
            opened(tmp_path / "set")


def test_a_missing_picture_is_left_out(tmp_path: Path) -> None:
    both(tmp_path, [shape()])
    (tmp_path / "train/a.png").unlink()
    assert opened(tmp_path)[0].summary().left_out["picture file missing"] == ["train/a.png"]


def test_two_files_for_one_picture_are_refused(tmp_path: Path) -> None:
    labelme(tmp_path, "a", [shape()])
    labelme(tmp_path, "b", [shape()], imagePath="a.png")
    with pytest.raises(DataError, match=r"a\.json and b\.json are both for a\.png"):
        opened(tmp_path)


def test_a_size_that_is_absent_comes_from_the_picture(tmp_path: Path) -> None:
    data = both(tmp_path, [mask_shape([[1]], 3, 3)], imageHeight=None, imageWidth=None)
    assert masks(data).shape == (1, 10, 20)


def test_a_folder_without_labelme_files_says_what_it_is(tmp_path: Path) -> None:
    write_picture(tmp_path / "PNGImages/a.png")
    (tmp_path / "PedMasks").mkdir()
    with pytest.raises(DataError, match="dataset=mask_png"):
        opened(tmp_path)
    with pytest.raises(DataError, match="not one shape has a label"):
        opened(labelme(tmp_path / "none", "a", []))
