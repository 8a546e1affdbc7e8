"""The validation loss is one number: order, workers, repetition and processes do not change a bit of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from maskrcnn_exp.data.loader import ValidationSamples
from maskrcnn_exp.data.shapes import VAL_START, ShapesDataset
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.engine.coco_ap import Detections, evaluate_coco
from maskrcnn_exp.engine.validation import ValidationResult, limit_ground_truth, validate
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.forward import (
    ObjectMasks,
    losses_and_detections,
    losses_detections_and_objects,
    training_losses,
)
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.schema import BoxHeadConfig, MaskHeadConfig, ModelConfig

WEIGHTS = dict.fromkeys(LOSSES, 1.0)
DATA = ShapesDataset(seed=0, start=VAL_START, size=6, image_size=64, min_objects=0, min_radius=0.15)


@pytest.fixture(scope="module")
def network() -> object:
    torch.manual_seed(0)
    model = ModelConfig(
        backbone="resnet18",
        fpn_channels=16,
        min_size=[64],
        max_size=64,
        anchor_sizes=[8, 16, 32, 64, 128],
        score_threshold=0.0,
        box_head=BoxHeadConfig(width=32, batch_size_per_image=16),
        mask_head=MaskHeadConfig(width=16, depth=1),
    )
    return build_maskrcnn(model, num_classes=4, detections_per_image=20)[0]


def evaluate(network: object, samples: object, precision: str = "32-true", observe: object = None) -> ValidationResult:
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    truth = DATA.ground_truth()
    return validate(network, samples, truth, fabric=fabric, max_dets=100, loss_weights=WEIGHTS, observe=observe)


def test_order_workers_and_repetition_do_not_change_a_bit(network: object) -> None:
    first = evaluate(network, ValidationSamples(DATA))
    torch.manual_seed(123)  # the global generator must not matter
    again = evaluate(network, ValidationSamples(DATA))
    workers = evaluate(network, ValidationSamples(DATA, workers=2))
    shuffled = list(ValidationSamples(DATA))
    random.Random(1).shuffle(shuffled)
    reordered = evaluate(network, shuffled)
    for other in (again, workers, reordered):
        assert other.losses == first.losses
        assert other.total == first.total
        assert other.coco == first.coco


def test_the_mode_of_the_network_is_put_back_and_its_norms_untouched(network: object) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, ValidationSamples(DATA))
    assert network.training
    assert network.roi_heads.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.transform.paste_masks


def test_losses_are_those_of_the_training_forward_with_frozen_norms(network: object) -> None:
    """One picture: validation's losses equal the training forward's when batch norms use their running statistics."""
    sample = next(iter(ValidationSamples(DATA)))
    network.eval()
    ours, _ = losses_and_detections(network, sample, torch.device("cpu"))
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    theirs = training_losses(network, network, [sample], torch.device("cpu"))
    for name in LOSSES:
        torch.testing.assert_close(ours.values[name], theirs.values[name].detach())


def test_joined_losses_are_those_of_all_pictures_as_one_batch(network: object) -> None:
    """Σ loss·count / Σ count over single pictures is torchvision's loss of the whole batch, negatives included."""
    samples = list(ValidationSamples(DATA))
    assert any(len(sample.target["labels"]) == 0 for sample in samples)
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        whole = training_losses(network, network, samples, torch.device("cpu"))
    joined = evaluate(network, samples)
    for name in LOSSES:
        assert joined.losses[name] == pytest.approx(float(whole.values[name]), rel=1e-4), name


def test_an_observer_sees_each_picture_once_and_changes_nothing(network: object) -> None:
    seen: list[tuple[Sample, Detections, ObjectMasks]] = []
    result = evaluate(network, ValidationSamples(DATA), observe=lambda *picture: seen.append(picture))
    plain = evaluate(network, ValidationSamples(DATA))
    assert (result.losses, result.coco) == (plain.losses, plain.coco)
    assert [sample.index for sample, _, _ in seen] == list(range(6))
    assert any(len(sample.target["labels"]) == 0 for sample, _, _ in seen)
    for sample, detections, objects in seen:
        assert detections.image_index == sample.index
        assert objects.found.shape == (len(sample.target["labels"]), 1, 28, 28)
        assert torch.equal(objects.seen, sample.target["masks"])  # 64 pixels: seen at their own size
        assert torch.equal(objects.boxes, sample.target["boxes"])
    assert evaluate_coco(DATA.ground_truth(), [detections for _, detections, _ in seen]) == result.coco


def test_the_mask_head_gives_the_same_in_a_true_box_as_in_an_equal_detected_one(network: object) -> None:
    """The detections of a picture become its objects: the head finds in their boxes what it found before."""
    sample = next(sample for sample in ValidationSamples(DATA) if len(sample.target["labels"]) > 0)
    network.eval()
    network.transform.paste_masks = False
    _, found = losses_and_detections(network, sample, torch.device("cpu"))
    inside = (found.boxes[:, 2:] - found.boxes[:, :2]).min(dim=1).values > 1
    boxes, labels = found.boxes[inside], found.labels[inside]
    assert len(labels) > 0
    masks = torch.zeros(len(labels), *sample.image.shape[-2:], dtype=torch.uint8)
    again = replace(sample, target={"boxes": boxes, "labels": labels, "masks": masks})
    _, _, objects = losses_detections_and_objects(network, again, torch.device("cpu"))
    torch.testing.assert_close(objects.found, found.masks[inside], rtol=1e-4, atol=1e-5)


def test_ground_truth_of_the_first_pictures_only() -> None:
    truth = limit_ground_truth(DATA.ground_truth(), 2)
    assert [image["id"] for image in truth["images"]] == [0, 1]
    assert {annotation["image_id"] for annotation in truth["annotations"]} <= {0, 1}
