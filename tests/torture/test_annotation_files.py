"""Annotation files with anything in them: a result that says what it left out, or one message that names the file.

The short forms run with `make test`, the long ones with `make torture`. Real files are those of ../shared/data/defects.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn_exp.data.coco import CocoDataset
from maskrcnn_exp.data.ground_truth import encode_masks
from maskrcnn_exp.engine.coco_ap import Detections, evaluate_coco
from maskrcnn_exp.errors import DataError
from tests.data.coco_files import write_picture
from tests.shared_data import SHARED, needs_shared_data
from tests.torture.annotation_mutations import WHOLE, spoil, spoil_bytes

LONG = [pytest.mark.torture, pytest.mark.timeout(7200)]
COCO_LARGEST = 1e10  # pixels; COCO's evaluation counts no object beyond it
SLOWEST_SECONDS = 20
SOME = 6  # pictures of a real file: some have twenty million pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    for image in WHOLE["images"]:
        write_picture(place / image["file_name"], image["width"], image["height"])
    return place


def use(path: Path, folder: Path) -> CocoDataset | str:
    """Do what a run does with its data; return the dataset, or the message that refused it."""
    try:
        dataset = CocoDataset.open(path, folder)
    except DataError as error:
        assert path.name in str(error)  # noqa: PT017 - the other outcome is fine too
        return str(error)
    dataset.summary()
    found = [perfect(dataset, index) for index in range(len(dataset))]
    truth = dataset.ground_truth()
    for entry in truth["annotations"]:
        assert math.isfinite(entry["area"])
        assert 0 <= entry["area"] <= COCO_LARGEST
        assert all(math.isfinite(side) for side in entry["bbox"])
        assert min(entry["bbox"][2:]) > 0
        assert entry["iscrowd"] in (0, 1)
    result = evaluate_coco(truth, found)
    instances = sum(len(each.labels) for each in found)
    assert result.segm["AP"] == (pytest.approx(1) if instances else -1)
    return dataset


def perfect(dataset: CocoDataset, index: int) -> Detections:
    """The objects of a picture as a network would see them, found without a mistake."""
    sample = dataset.load(index)
    masks, labels = sample.target["masks"], sample.target["labels"]
    assert len(masks) == len(labels) == len(dataset.annotation_ids(index))
    assert all(mask.any() for mask in masks)
    rles: Any = encode_masks(masks)
    return Detections(
        image_index=index,
        boxes_xyxy=sample.target["boxes"].numpy(),
        labels=labels.numpy(),
        scores=np.ones(len(labels), dtype=np.float32),
        rles=rles,
    )


def assert_nothing_is_lost_in_silence(content: dict[str, Any], dataset: CocoDataset) -> None:
    """Every picture and every annotation of the file is used as it stands there, or listed."""
    summary, truth = dataset.summary(), dataset.ground_truth()
    annotations = content.get("annotations")
    if not isinstance(annotations, list):
        annotations = []
    listed = sum(map(len, summary.left_out.values()))
    assert summary.annotations_left_out + len(truth["annotations"]) == len(annotations)
    assert listed - summary.annotations_left_out + summary.images == len(content["images"])
    kept = Counter((entry["category_id"], entry["iscrowd"]) for entry in truth["annotations"])
    assert kept <= Counter(meant(content, entry) for entry in annotations)


def meant(content: dict[str, Any], entry: Any) -> tuple[int, int] | None:
    """The label and the crowd mark of an annotation for a reader that guesses nothing."""
    if not isinstance(entry, dict) or type(entry.get("category_id")) not in (int, float, str):
        return None
    ids = [category["id"] for category in content["categories"]]
    ids.sort(key=lambda value: (isinstance(value, str), value))
    crowd = entry.get("iscrowd")
    if entry["category_id"] not in ids or not (crowd is None or (isinstance(crowd, int | float) and crowd in (0, 1))):
        return None
    return ids.index(entry["category_id"]) + 1, int(crowd or 0)


def seen(outcome: CocoDataset | str) -> str:
    if isinstance(outcome, str):
        return "refused"
    return "used, with something listed" if outcome.left_out or outcome.notes else "used whole"


def spoilt_values(seed: int, count: int, folder: Path) -> Counter[str]:
    rng, outcomes = random.Random(seed), Counter[str]()
    path = folder / "annotations.json"
    for _ in range(count):
        content, done = spoil(rng)
        path.write_text(json.dumps(content))
        started = time.monotonic()
        try:
            outcome = use(path, folder)
            assert time.monotonic() - started < SLOWEST_SECONDS
            if isinstance(outcome, CocoDataset):
                assert_nothing_is_lost_in_silence(content, outcome)
        except Exception as error:
            raise AssertionError(f"{done}: {type(error).__name__}: {error}") from error
        outcomes[seen(outcome)] += 1
    return outcomes


def spoilt_bytes(seed: int, count: int, folder: Path) -> Counter[str]:
    rng, outcomes = random.Random(seed), Counter[str]()
    path = folder / "bytes.json"
    for _ in range(count):
        data = spoil_bytes(rng)
        path.write_bytes(data)
        started = time.monotonic()
        try:
            outcomes[seen(use(path, folder))] += 1
        except Exception as error:
            raise AssertionError(f"{data!r}: {type(error).__name__}: {error}") from error
        assert time.monotonic() - started < SLOWEST_SECONDS, data
    return outcomes


def test_the_whole_file_is_used_whole(folder: Path) -> None:
    path = folder / "whole.json"
    path.write_text(json.dumps(WHOLE))
    dataset = use(path, folder)
    assert isinstance(dataset, CocoDataset)
    assert_nothing_is_lost_in_silence(WHOLE, dataset)
    assert seen(dataset) == "used whole"
    assert len(dataset.ground_truth()["annotations"]) == len(WHOLE["annotations"])


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=LONG)])
def test_a_file_with_spoilt_values_is_used_or_refused_and_says_what_it_left_out(folder: Path, count: int) -> None:
    outcomes = spoilt_values(0, count, folder)
    print(f"{count} files with spoilt values: {dict(outcomes)}")
    assert min(outcomes.values()) > count / 50, outcomes


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=LONG)])
def test_a_file_with_spoilt_bytes_is_used_or_refused(folder: Path, count: int) -> None:
    outcomes = spoilt_bytes(0, count, folder)
    print(f"{count} files with spoilt bytes: {dict(outcomes)}")
    assert outcomes["refused"] > count / 10, outcomes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def one_field(folder: Path, kind: str, key: str, value: object) -> None:
    content = json.loads(json.dumps(WHOLE))
    content[kind][0][key] = value
    path = folder / "field.json"
    path.write_text(json.dumps(content))
    outcome = use(path, folder)
    if isinstance(outcome, CocoDataset):
        assert_nothing_is_lost_in_silence(content, outcome)


FIELDS = st.sampled_from(
    [
        *(("images", key) for key in ("id", "file_name", "width", "height")),
        *(("categories", key) for key in ("id", "name")),
        *(("annotations", key) for key in ("id", "image_id", "category_id", "segmentation", "iscrowd", "area", "bbox")),
    ]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=FIELDS, value=JSON)
def test_any_json_in_any_field_is_used_or_refused(folder: Path, field: tuple[str, str], value: object) -> None:
    one_field(folder, *field, value)


@pytest.mark.torture
@pytest.mark.timeout(7200)
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=FIELDS, value=JSON)
def test_any_json_in_any_field_ten_thousand_times(folder: Path, field: tuple[str, str], value: object) -> None:
    one_field(folder, *field, value)


@needs_shared_data
@pytest.mark.parametrize("path", sorted((SHARED / "defects/annotations").glob("*.json")), ids=lambda path: path.name)
def test_every_real_file_with_defects_is_used_or_refused(path: Path, tmp_path: Path) -> None:
    """Its pictures lie elsewhere: black ones stand in for them."""
    content = json.loads(path.read_text())
    images = content.get("images", []) if isinstance(content, dict) else []
    for image in images[:SOME]:
        (tmp_path / image["file_name"]).parent.mkdir(exist_ok=True)
        Image.new("1", (image["width"], image["height"])).save(tmp_path / image["file_name"], format="PNG")
    outcome = use(path, tmp_path)
    if "via_region" in path.name:
        assert "VGG Image Annotator" in str(outcome)
    else:
        assert isinstance(outcome, CocoDataset)
        assert outcome.left_out["picture file missing"] if len(images) > SOME else outcome.notes
