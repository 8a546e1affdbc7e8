"""What every dataset must do. A test module subclasses `DatasetConformance` and provides the `dataset` fixture."""

from __future__ import annotations

import contextlib
import io
import pickle
from dataclasses import asdict

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn_exp.data.masks import boxes_from_masks
from maskrcnn_exp.data.target import InstanceDataset, Sample
from maskrcnn_exp.errors import DataError

__all__ = ["DatasetConformance", "assert_same_sample"]


def assert_same_sample(one: Sample, other: Sample) -> None:
    assert torch.equal(one.image, other.image)
    assert (one.index, one.seed) == (other.index, other.seed)
    for key in ("boxes", "labels", "masks"):
        assert torch.equal(one.target[key], other.target[key]), key


# pycocotools 2.0.11 does not know numpy 2's `copy` argument.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
class DatasetConformance:
    """The promises of `InstanceDataset`."""

    def test_samples_have_the_promised_shapes_and_types(self, dataset: InstanceDataset) -> None:
        for index in range(len(dataset)):
            sample = dataset.load(index)
            channels, height, width = sample.image.shape
            count = len(sample.target["labels"])
            assert (channels, sample.image.dtype, sample.index) == (3, torch.uint8, index)
            assert sample.target["masks"].shape == (count, height, width)
            assert sample.target["boxes"].shape == (count, 4)
            assert sample.target["masks"].dtype == torch.uint8
            assert sample.target["boxes"].dtype == torch.float32
            assert sample.target["labels"].dtype == torch.int64
            assert sample.image.is_contiguous()
            assert sample.target["masks"].is_contiguous()

    def test_masks_are_zero_or_one_and_none_is_empty(self, dataset: InstanceDataset) -> None:
        for index in range(len(dataset)):
            masks = dataset.load(index).target["masks"]
            assert masks.max() <= 1 if len(masks) else True
            assert masks.flatten(1).any(dim=1).all()

    def test_boxes_are_the_extents_of_the_masks(self, dataset: InstanceDataset) -> None:
        for index in range(len(dataset)):
            target = dataset.load(index).target
            assert torch.equal(target["boxes"], boxes_from_masks(target["masks"]))

    def test_labels_are_positions_of_categories_counted_from_one(self, dataset: InstanceDataset) -> None:
        for index in range(len(dataset)):
            labels = dataset.load(index).target["labels"].tolist()
            assert all(1 <= label <= len(dataset.categories) for label in labels)

    def test_loading_twice_gives_the_same_and_moves_no_generator(self, dataset: InstanceDataset) -> None:
        torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
        assert_same_sample(dataset.load(0), dataset.load(0))
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)  # type: ignore[index]

    def test_there_is_one_annotation_id_per_instance(self, dataset: InstanceDataset) -> None:
        for index in range(len(dataset)):
            ids = dataset.annotation_ids(index)
            assert len(ids) == len(dataset.load(index).target["labels"])
            assert all(isinstance(value, int | str) for value in ids)

    def test_image_ids_are_plain_and_differ(self, dataset: InstanceDataset) -> None:
        ids = [dataset.image_id(index) for index in range(len(dataset))]
        assert all(type(value) in (int, str) for value in ids)
        assert len(set(ids)) == len(ids)

    def test_ground_truth_holds_what_load_returns(self, dataset: InstanceDataset) -> None:
        truth = dataset.ground_truth()
        assert [image["id"] for image in truth["images"]] == list(range(len(dataset)))
        assert [entry["id"] for entry in truth["annotations"]] == list(range(1, len(truth["annotations"]) + 1))
        for index in range(len(dataset)):
            sample = dataset.load(index)
            own = [a for a in truth["annotations"] if a["image_id"] == index and not a["iscrowd"]]
            assert [entry["category_id"] for entry in own] == sample.target["labels"].tolist()
            for entry, mask in zip(own, sample.target["masks"], strict=True):
                assert isinstance(entry["segmentation"]["counts"], bytes)
                assert np.array_equal(coco_mask.decode(entry["segmentation"]), mask.numpy())

    def test_ground_truth_is_accepted_by_pycocotools(self, dataset: InstanceDataset) -> None:
        coco = COCO()
        coco.dataset = dataset.ground_truth()
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        assert coco.getImgIds() == list(range(len(dataset)))
        assert coco.getCatIds() == list(range(1, len(dataset.categories) + 1))
        assert [entry["name"] for entry in coco.loadCats(coco.getCatIds())] == [c.name for c in dataset.categories]

    def test_a_pickled_dataset_reads_the_same(self, dataset: InstanceDataset) -> None:
        copied = pickle.loads(pickle.dumps(dataset))
        assert len(copied) == len(dataset)
        assert_same_sample(copied.load(0), dataset.load(0))
        assert asdict(copied.summary()) == asdict(dataset.summary())

    def test_summary_counts_what_load_returns(self, dataset: InstanceDataset) -> None:
        counts = [len(dataset.load(index).target["labels"]) for index in range(len(dataset))]
        crowd = sum(entry["iscrowd"] for entry in dataset.ground_truth()["annotations"])
        summary = dataset.summary()
        found = (summary.images, summary.instances, summary.negatives, summary.max_objects, summary.crowd)
        assert found == (len(counts), sum(counts), counts.count(0), max(counts), crowd)

    def test_a_picture_that_is_not_there_is_a_data_error(self, dataset: InstanceDataset) -> None:
        for index in (-1, len(dataset)):
            with pytest.raises(DataError):
                dataset.load(index)
