"""COCO files: everything usable is read exactly, the rest is left out by name at opening, never met in a run."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.data.target import Category, InstanceDataset
from maskrcnn_exp.errors import DataError
from tests.data.coco_files import SQUARE, annotation, image, write_coco, write_picture
from tests.data.conformance import DatasetConformance, assert_same_sample
from tests.shared_data import SHARED, needs_shared_data

PUBLISHED = SHARED / "evaluator" / "cocoapi_val2014_100"

# pycocotools 2.0.11 does not know numpy 2's `copy` argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def runs_of(mask: np.ndarray[Any, Any]) -> list[int]:
    """COCO's uncompressed run lengths, counted one pixel after the other."""
    runs, value = [0], 0
    for pixel in mask.ravel(order="F").tolist():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


def square_mask(height: int = 10, width: int = 20) -> np.ndarray[Any, Any]:
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[3:7, 2:8] = 1
    return mask


def compressed(mask: np.ndarray[Any, Any]) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def opened(folder: Path, images: list[Any], annotations: list[Any] | None, **changes: Any) -> CocoDataset:
    return CocoDataset.open(write_coco(folder, images, annotations, **changes), folder)


class TestConformanceOnATinyFile(DatasetConformance):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> InstanceDataset:
        uncompressed = {"size": [10, 20], "counts": runs_of(square_mask())}
        annotations = [
            annotation("a", "p"),
            annotation("b", "p", segmentation=compressed(square_mask())),
            annotation("c", "q", segmentation=uncompressed, iscrowd=1),
            annotation("d", "q", segmentation=uncompressed, category_id=7),
            annotation("e", "q", segmentation=[*SQUARE, [10, 1, 14, 1, 14, 5]]),
        ]
        categories = [{"id": 7, "name": "seven"}, {"id": 1, "name": "one"}]
        return opened(tmp_path, [image("q"), image("p"), image("r")], annotations, categories=categories)


class TestConformanceWithStringIdsThroughout(DatasetConformance):
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> InstanceDataset:
        annotations = [annotation("a", "p", category_id="cat"), annotation("b", "p", category_id="ant", iscrowd=1)]
        annotations += [annotation("c", "q", category_id="ant")]
        categories = [{"id": "cat", "name": "Cat"}, {"id": "ant", "name": "Ant"}]
        return opened(tmp_path, [image("q"), image("p"), image("r")], annotations, categories=categories)


@needs_shared_data
@pytest.mark.parametrize("name", ["nuclei", "balloon", "coco_mini"])
class TestConformanceOnRealSets(DatasetConformance):
    @pytest.fixture
    def dataset(self, name: str) -> InstanceDataset:
        whole = CocoDataset.open(SHARED / name / "annotations" / "instances_val.json", SHARED / name / "images")
        return whole.subset(np.arange(0, len(whole), 3)[:6])


# --- what is read ------------------------------------------------------------------------------------------


def test_all_kinds_of_outlines_give_the_same_mask(tmp_path: Path) -> None:
    outlines = [
        SQUARE,
        SQUARE[0],  # without the list around it
        {"size": [10, 20], "counts": runs_of(square_mask())},
        compressed(square_mask()),
        [[2, 3, 5, 3, 5, 7, 2, 7], [5, 3, 8, 3, 8, 7, 5, 7]],  # in two parts
    ]
    annotations = [annotation(number, 1, segmentation=outline) for number, outline in enumerate(outlines)]
    target = opened(tmp_path, [image(1)], annotations).load(0).target
    assert all(np.array_equal(mask, square_mask()) for mask in target["masks"].numpy())
    assert target["boxes"].tolist() == [[2, 3, 8, 7]] * 5
    assert len(target["masks"]) == 5


def test_a_file_without_an_iscrowd_key_has_no_crowd(tmp_path: Path) -> None:
    bare = {key: value for key, value in annotation(1, 1).items() if key != "iscrowd"}
    assert opened(tmp_path, [image(1)], [bare]).summary().crowd == 0


def test_crowd_regions_are_no_targets_but_stand_in_the_ground_truth(tmp_path: Path) -> None:
    dataset = opened(tmp_path, [image(1)], [annotation(1, 1, iscrowd=1), annotation(2, 1)])
    assert dataset.annotation_ids(0) == [2]
    assert len(dataset.load(0).target["masks"]) == 1
    assert [entry["iscrowd"] for entry in dataset.ground_truth()["annotations"]] == [1, 0]


def test_ids_may_start_at_zero_everywhere(tmp_path: Path) -> None:
    categories = [{"id": 0, "name": "zero"}]
    dataset = opened(tmp_path, [image(0)], [annotation(0, 0, category_id=0)], categories=categories)
    assert (dataset.image_id(0), dataset.annotation_ids(0)) == (0, [0])
    assert dataset.load(0).target["labels"].tolist() == [1]


def test_whole_numbers_and_strings_stay_what_they_are(tmp_path: Path) -> None:
    dataset = opened(tmp_path, [image("x1"), image("x2")], [annotation("a7", "x2"), annotation(8, "x2")])
    assert [dataset.image_id(0), dataset.image_id(1)] == ["x1", "x2"]
    assert dataset.annotation_ids(1) == ["a7", "8"]  # with one string among them, all are strings
    plain = opened(tmp_path, [image(3)], [annotation(8, 3)])
    assert type(plain.image_id(0)) is int
    assert type(plain.annotation_ids(0)[0]) is int


def test_labels_follow_the_sorted_category_ids_and_pictures_their_ids(tmp_path: Path) -> None:
    categories = [{"id": 90, "name": "ninety"}, {"id": 3, "name": "three"}]
    dataset = opened(tmp_path, [image(5), image(2)], [annotation(1, 5, category_id=90)], categories=categories)
    assert [category.name for category in dataset.categories] == ["three", "ninety"]
    assert [dataset.image_id(0), dataset.image_id(1)] == [2, 5]
    assert dataset.load(1).target["labels"].tolist() == [2]


def test_category_ids_may_be_strings_and_follow_the_numbers(tmp_path: Path) -> None:
    categories = [{"id": "b", "name": "bee"}, {"id": "a10"}, {"id": 7, "name": "seven"}]
    annotations = [annotation(number, 1, category_id=value) for number, value in enumerate(("b", 7.0, "7"), start=1)]
    dataset = opened(tmp_path, [image(1)], annotations, categories=categories)
    assert dataset.categories == (Category(7, "seven"), Category("a10", "a10"), Category("b", "bee"))
    assert dataset.load(0).target["labels"].tolist() == [3, 1]
    assert dataset.summary().left_out == {"unknown category_id": ["3"]}  # "7" is not 7, as for pictures


def test_annotations_of_a_picture_keep_the_order_of_the_file(tmp_path: Path) -> None:
    numbers = random.Random(0).sample(range(600), 600)
    dataset = opened(tmp_path, [image(0), image(1)], [annotation(number, number % 2) for number in numbers])
    assert dataset.annotation_ids(1) == [number for number in numbers if number % 2]


def test_missing_annotations_make_negatives(tmp_path: Path) -> None:
    nothing: list[Any] = []
    for listed in (None, nothing):
        summary = opened(tmp_path, [image(1), image(2)], listed).summary()
        assert (summary.images, summary.negatives, summary.instances) == (2, 2, 0)
        assert any("no annotations" in note for note in summary.notes)


def test_a_file_name_may_hold_a_folder(tmp_path: Path) -> None:
    dataset = opened(tmp_path, [image(1, file_name="batch_1/six.png")], [annotation(1, 1)])
    assert dataset.load(0).image.shape == (3, 10, 20)


def test_sizes_come_from_the_picture_where_the_file_has_none(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png", 16, 12)
    dataset = opened(tmp_path, [{"id": 1, "file_name": "1.png"}], [annotation(1, 1)])
    assert dataset.load(0).target["masks"].shape == (1, 12, 16)


def test_polygons_partly_outside_are_clipped(tmp_path: Path) -> None:
    outline = [[-5.0, -5.0, 4.0, -5.0, 4.0, 6.0, -5.0, 6.0]]
    dataset = opened(tmp_path, [image(1)], [annotation(1, 1, segmentation=outline)])
    assert dataset.load(0).target["boxes"].tolist() == [[0, 0, 4, 6]]


def test_missing_areas_and_boxes_are_measured(tmp_path: Path) -> None:
    entry = annotation(1, 1, area=None, bbox=None)
    (truth,) = opened(tmp_path, [image(1)], [entry]).ground_truth()["annotations"]
    assert (truth["area"], truth["bbox"]) == (24, [2, 3, 6, 4])


def test_areas_and_boxes_of_the_file_are_kept(tmp_path: Path) -> None:
    entry = annotation(1, 1, area=99.5, bbox=[1, 2, 3.25, 4])
    (truth,) = opened(tmp_path, [image(1)], [entry]).ground_truth()["annotations"]
    assert (truth["area"], truth["bbox"]) == (99.5, [1, 2, 3.25, 4])


# --- what is left out --------------------------------------------------------------------------------------


def short_counts() -> dict[str, Any]:
    return {"size": [10, 20], "counts": [20, 30]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"segmentation": []}, "no segmentation"),
        ({"segmentation": None}, "no segmentation"),
        ({"segmentation": [[1, 2, 3, 4]]}, "polygon with fewer than 3 points"),
        ({"segmentation": [[]]}, "polygon with fewer than 3 points"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "polygon with an odd number of coordinates"),
        ({"segmentation": [[1, 2, 3, None, 5, 6]]}, "polygon with something else than numbers"),
        ({"segmentation": [{"counts": "12"}]}, "polygon with something else than numbers"),
        ({"segmentation": "12"}, "segmentation is neither polygons nor an RLE"),
        ({"segmentation": [[1, 2, 30, float("nan"), 5, 6]]}, "polygon with coordinates that are not finite"),
        ({"segmentation": [[1, 2, float("inf"), 4, 5, 6]]}, "polygon with coordinates that are not finite"),
        ({"segmentation": [[1, 2, 1e30, 4, 5, 6]]}, "polygon far outside the picture"),
        ({"segmentation": [[1, 1] + [9e5, -9e5, -9e5, 9e5] * 9]}, "polygon far outside the picture"),
        ({"segmentation": [[30, 3, 40, 3, 40, 9]]}, "mask without a pixel"),
        ({"segmentation": [[2, 3, 8, 3, 5, 3]]}, "mask without a pixel"),
        ({"segmentation": {"size": [10, 20], "counts": [200]}}, "mask without a pixel"),
        ({"segmentation": compressed(square_mask(20, 10))}, "RLE size differs from the picture"),
        ({"segmentation": short_counts()}, "RLE does not fill its size"),
        ({"segmentation": {"size": [10, 20], "counts": "~~~"}}, "RLE does not decode"),
        ({"segmentation": {"size": [10, 20], "counts": [-5, 205]}}, "RLE does not decode"),
        ({"segmentation": {"size": [10, 20]}}, "RLE does not decode"),
        ({"segmentation": {"counts": [1, 2]}}, "RLE without a size"),
        ({"segmentation": {"size": [10, "20"], "counts": [100, 100]}}, "RLE without a size"),
        ({"category_id": 5}, "unknown category_id"),
        ({"category_id": None}, "unknown category_id"),
        ({"image_id": 77}, "unknown image_id"),
        ({"image_id": None}, "unknown image_id"),
        ({"image_id": [1]}, "unknown image_id"),
    ],
)
def test_an_unusable_annotation_is_left_out_by_name(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    dataset = opened(tmp_path, [image(1)], [annotation(10, 1) | changes, annotation(11, 1)])
    assert dataset.summary().left_out == {reason: ["10"]}
    assert dataset.annotation_ids(0) == [11]
    assert np.array_equal(dataset.load(0).target["masks"][0].numpy(), square_mask())


def test_an_entry_that_is_no_annotation_is_left_out(tmp_path: Path) -> None:
    dataset = opened(tmp_path, [image(1)], ["nonsense", annotation(11, 1), {}])
    assert dataset.summary().left_out == {"unknown image_id": ["#0", "#2"]}


def test_a_bad_part_is_dropped_and_noted(tmp_path: Path) -> None:
    dataset = opened(tmp_path, [image(1)], [annotation(1, 1, segmentation=[[1, 1, 2, 2], *SQUARE])])
    assert np.array_equal(dataset.load(0).target["masks"][0].numpy(), square_mask())
    assert any(note.startswith("1 polygon parts") for note in dataset.summary().notes)


def test_duplicate_annotation_ids_and_category_names_are_kept_and_noted(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "facade"}, {"id": 2, "name": "facade"}]
    dataset = opened(tmp_path, [image(1)], [annotation(4, 1), annotation(4, 1)], categories=categories)
    assert dataset.annotation_ids(0) == [4, 4]
    notes = " ".join(dataset.summary().notes)
    assert "1 annotation ids occur more than once (4)" in notes
    assert "2 categories are named 'facade'" in notes


def test_a_picture_whose_annotations_are_all_unusable_is_no_negative(tmp_path: Path) -> None:
    dataset = opened(tmp_path, [image(1), image(2), image(3)], [annotation(5, 1, segmentation=[]), annotation(6, 2)])
    assert [dataset.image_id(index) for index in range(len(dataset))] == [2, 3]
    assert dataset.summary().left_out["picture whose annotations are all unusable"] == ["1"]


def test_bad_pictures_are_left_out_by_name(tmp_path: Path) -> None:
    images = [image(number) for number in range(1, 6)]
    path = write_coco(tmp_path, images, [annotation(number, number) for number in range(1, 6)])
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.png").write_bytes(b"not a picture")
    write_picture(tmp_path / "3.png", 7, 7)
    dataset = CocoDataset.open(path, tmp_path)
    assert dataset.summary().left_out == {
        "picture file missing": ["1"],
        "picture does not open": ["2"],
        "picture of another size than annotated": ["3"],
        "annotation of a picture that was left out": ["1", "2", "3"],
    }
    assert len(dataset) == 2


def test_negatives_go_when_asked_and_are_named(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1), image(2)], [annotation(1, 2)])
    dataset = CocoDataset.open(path, tmp_path, keep_empty=False)
    assert [dataset.image_id(index) for index in range(len(dataset))] == [2]
    assert dataset.summary().left_out == {"picture without an instance, and keep_empty is off": ["1"]}


# --- what stops everything ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON.*ends after 0 characters"),
        ('{"images": [', "is not JSON: it ends after 12 characters"),
        ('{"images": [{"id": 1,}]}', "is not JSON: at character 2"),
        ("[1, 2]", "seems to be a list of 2 entries"),
        ('"text"', "seems to be a string"),
        ('[{"image_id": 1, "category_id": 1, "score": 0.5}]', "detection results"),
        ('{"a.jpg123": {"filename": "a.jpg", "regions": {}}}', "VGG Image Annotator"),
        ('{"shapes": [], "imagePath": "a.jpg"}', "LabelMe"),
        ('[{"image": "a.jpg", "annotations": []}]', "CreateML"),
        ('{"type": "FeatureCollection"}', "GeoJSON"),
        ("{}", "an empty JSON object"),
        ('{"annotations": [], "categories": []}', "without the list `images`"),
        ('{"images": {}, "categories": []}', "seems to be"),
        ('{"images": [], "categories": [{"id": 1}]}', "`images` is empty"),
        ('{"images": [{"id": 1}], "annotations": []}', "no `categories`"),
        ('{"images": [{"id": 1}], "categories": [{"name": "x"}]}', "a category without an id: {'name': 'x'}"),
        ('{"images": [{"id": 1}], "categories": [{"id": 1}, {"id": 1}]}', "share an id"),
        ('{"images": [{"file_name": "a"}, 7], "categories": [{"id": 1}]}', "picture without an id: 2"),
    ],
)
def test_what_is_no_coco_file_is_called_what_it_seems_to_be(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"file\.json: .*{message}"):
        CocoDataset.open(path, tmp_path)


def test_a_missing_file_a_folder_and_binary_data_are_named(tmp_path: Path) -> None:
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    for name, message in (
        ("none.json", "no such annotation file"),
        (".", "is a folder"),
        ("binary.json", "not JSON"),
    ):
        with pytest.raises(DataError, match=message):
            CocoDataset.open(tmp_path / name, tmp_path)


def test_boxes_without_masks_are_called_that(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="boxes only"):
        opened(tmp_path, [image(1)], [annotation(1, 1, segmentation=[])])


def test_reasons_are_listed_where_no_annotation_is_usable(tmp_path: Path) -> None:
    bad = [annotation(1, 1, category_id=9), annotation(2, 1, segmentation=[[1, 2, 3, 4]])]
    with pytest.raises(DataError, match=r"not one of 2(.|\n)*category_id: 1, id 1 first(.|\n)*3 points: 1, id 2 first"):
        opened(tmp_path, [image(1)], bad)


def test_a_wrong_folder_is_named_with_the_path_looked_for(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1)], [annotation(1, 1)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"none of its 1 pictures.*missing: 1.*empty/1\.png"):
        CocoDataset.open(path, tmp_path / "empty")
    with pytest.raises(DataError, match="no such folder of pictures"):
        CocoDataset.open(path, tmp_path / "nowhere")


def test_pictures_that_share_an_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the id 1"):
        opened(tmp_path, [image(1), image(1)], [])


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "a/../../secret.png", "..\\x.png", "C:\\x.png"])
def test_a_file_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file.json"
    content = {"images": [image(1, file_name=name)], "categories": [{"id": 1, "name": "x"}], "annotations": []}
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="leads out of the folder") as error:
        CocoDataset.open(path, tmp_path, check_pictures=False)
    assert error.value.exit_code == 3


# --- views -------------------------------------------------------------------------------------------------


def test_the_split_is_the_same_for_any_order_of_the_file(tmp_path: Path) -> None:
    images = [image(number) for number in range(1, 21)]
    annotations = [annotation(number, number) for number in range(1, 21)]
    _, val = opened(tmp_path, images, annotations).split(0.25)
    random.Random(0).shuffle(images)
    random.Random(1).shuffle(annotations)
    train_again, val_again = opened(tmp_path, images, annotations).split(0.25)
    ids = [val.image_id(index) for index in range(len(val))]
    assert ids == [val_again.image_id(index) for index in range(len(val_again))]
    assert (len(ids), len(train_again)) == (5, 15)
    assert not set(ids) & {train_again.image_id(index) for index in range(15)}


def test_views_read_the_same_samples_and_share_the_arrays(tmp_path: Path) -> None:
    dataset = opened(tmp_path, [image(1), image(2)], [annotation(1, 1), annotation(2, 2)])
    view = dataset.subset(np.array([1]))
    assert view.index is dataset.index
    assert view.image_id(0) == 2
    assert np.array_equal(view.load(0).target["masks"], dataset.load(1).target["masks"])
    assert view.ground_truth()["images"][0]["id"] == 0


def test_a_pickled_dataset_is_a_few_arrays(tmp_path: Path) -> None:
    """2,000 annotations of 4 points: 32 bytes of coordinates and 100 of everything else, each."""
    dataset = opened(tmp_path, [image(1)], [annotation(number, 1) for number in range(2000)])
    assert len(pickle.dumps(dataset)) < 2000 * 140 + 20_000


# --- real files --------------------------------------------------------------------------------------------


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("borrat_valid_annotations.coco", (80, 80, 0)),
        ("facade_valid_annotations.coco", (108, 3849, 0)),
        ("lvis_v0.5_val_100", (100, 977, 7)),
        ("taco_annotations", (1500, 4784, 0)),
    ],
)
def test_real_odd_files_are_read_whole(name: str, expected: tuple[int, int, int]) -> None:
    path = SHARED / "defects" / "annotations" / f"{name}.json"
    summary = CocoDataset.open(path, path.parent, check_pictures=False).summary()
    assert (summary.images, summary.instances, summary.negatives) == expected


@needs_shared_data
def test_a_real_via_file_is_recognised() -> None:
    path = SHARED / "defects" / "annotations" / "balloon_val_via_region_data.json"
    with pytest.raises(DataError, match="VGG Image Annotator"):
        CocoDataset.open(path, path.parent)


@needs_shared_data
def test_masks_equal_those_of_pycocotools() -> None:
    for name in ("balloon", "coco_mini"):
        path = SHARED / name / "annotations" / "instances_val.json"
        dataset = CocoDataset.open(path, SHARED / name / "images")
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(path))
        for index in range(0, len(dataset), 4):
            masks = dataset.load(index).target["masks"].numpy()
            for annotation_id, mask in zip(dataset.annotation_ids(index), masks, strict=True):
                assert np.array_equal(mask, coco.annToMask(coco.anns[annotation_id]))


@needs_shared_data
@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("id_type", [int, str])
def test_the_published_numbers_come_out_of_our_ground_truth(
    id_type: type[int | str], kind: str, tmp_path: Path
) -> None:
    """pycocotools on our ground truth gives what COCO's authors published, also where category ids are strings."""
    content = json.loads((PUBLISHED / "instances_val2014_100.json").read_text())
    ids = sorted(id_type(category["id"]) for category in content["categories"])  # as strings "10" comes before "2"
    label_of = {int(category_id): label for label, category_id in enumerate(ids, start=1)}
    for entry, key in [(c, "id") for c in content["categories"]] + [(a, "category_id") for a in content["annotations"]]:
        entry[key] = id_type(entry[key])
    (tmp_path / "instances.json").write_text(json.dumps(content))
    dataset = CocoDataset.open(tmp_path / "instances.json", PUBLISHED, check_pictures=False)
    position_of = {dataset.image_id(index): index for index in range(len(dataset))}
    detections = json.loads((PUBLISHED / f"instances_val2014_fake{kind}100_results.json").read_text())
    for detection in detections:
        detection["image_id"] = position_of[detection["image_id"]]
        detection["category_id"] = label_of[detection["category_id"]]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, **dataset.ground_truth()}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    expected = json.loads((PUBLISHED / "expected.json").read_text())[kind]
    assert evaluation.stats.tolist() == pytest.approx(list(expected.values()), abs=1e-12)


@needs_shared_data
def test_a_view_loads_the_same_sample() -> None:
    whole = CocoDataset.open(SHARED / "nuclei/annotations/instances_val.json", SHARED / "nuclei/images")
    train, _ = whole.split(0.5)
    index = next(i for i in range(len(whole)) if whole.image_id(i) == train.image_id(0))
    one, other = train.load(0), whole.load(index)
    assert_same_sample(one, type(one)(other.image, other.target, 0))
