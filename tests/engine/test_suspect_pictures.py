"""Wrong masks, planted among right ones, and a network that has learned from right ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from maskrcnn_exp.data.loader import ValidationSamples
from maskrcnn_exp.data.shapes import VAL_START, ShapesDataset
from maskrcnn_exp.data.target import GroundTruth, Sample
from maskrcnn_exp.engine.suspect_pictures import SEEN_MOST, contact_sheet, look_again
from maskrcnn_exp.engine.suspects import Suspect, find_suspects
from maskrcnn_exp.engine.validation import PictureMasks, validate
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.forward import training_losses
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.schema import BoxHeadConfig, MaskHeadConfig, ModelConfig

CPU = torch.device("cpu")
SHAPES = {"image_size": 64, "min_objects": 1, "max_objects": 2, "min_radius": 0.2, "occlusion": 0.0}
WRONG = {3: (0,), 17: (0, 1)}
"""Picture → the objects whose masks are their outlines only, in boxes that are right."""


class Planted:
    """Shapes, some of whose masks are wrong."""

    def __init__(self, right: ShapesDataset, wrong: dict[int, tuple[int, ...]]) -> None:
        self.right = right
        self.wrong = wrong
        self.categories = right.categories
        self.image_id = right.image_id
        self.annotation_ids = right.annotation_ids
        self.summary = right.summary

    def __len__(self) -> int:
        return len(self.right)

    def load(self, index: int) -> Sample:
        sample = self.right.load(index)
        if index not in self.wrong:
            return sample
        masks = sample.target["masks"].clone()
        for number in self.wrong[index]:
            mask = masks[number]
            inside = torch.nn.functional.max_pool2d(1 - mask[None].float(), 3, 1, 1)[0] == 0
            mask[inside] = 0
        return replace(sample, target={**sample.target, "masks": masks})

    def ground_truth(self) -> GroundTruth:
        return self.right.ground_truth()


def build() -> torch.nn.Module:
    torch.manual_seed(0)
    model = ModelConfig(
        backbone="resnet18",
        fpn_channels=32,
        min_size=[64],
        max_size=64,
        anchor_sizes=[8, 16, 32, 64, 128],
        box_head=BoxHeadConfig(width=64, batch_size_per_image=32),
        mask_head=MaskHeadConfig(width=32, depth=1),
    )
    return build_maskrcnn(model, num_classes=4, detections_per_image=20)[0]


def suspects_of(network: torch.nn.Module, data: Planted) -> tuple[PictureMasks, ...]:
    fabric = Fabric(accelerator="cpu", devices=1)
    weights = dict.fromkeys(LOSSES, 1.0)
    samples = ValidationSamples(data)
    return validate(network, samples, data.ground_truth(), fabric=fabric, max_dets=100, loss_weights=weights).pictures


@pytest.mark.slow
def test_planted_masks_are_the_suspects_and_the_annotation_is_named() -> None:
    network = build()
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    train = ShapesDataset(seed=0, start=0, size=640, **SHAPES)
    for step in range(160):
        samples = [replace(train.load(4 * step + place), seed=4 * step + place) for place in range(4)]
        losses = training_losses(network, network, samples, CPU).values
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
    right = ShapesDataset(seed=0, start=VAL_START, size=40, **SHAPES)
    clean = find_suspects(suspects_of(network, Planted(right, {})))
    assert clean.median_mask_iou > 0.7
    assert not {suspect.picture.index for suspect in clean.found} & WRONG.keys()

    data = Planted(right, WRONG)
    found = find_suspects(suspects_of(network, data)).found
    planted = [suspect for suspect in found if suspect.picture.index in WRONG]
    assert len(planted) == len(WRONG)
    assert len(found) <= len(clean.found) + 2  # whatever else so small a network is bad at
    for one in look_again(network, data, planted, Fabric(accelerator="cpu", devices=1)):
        index = one.suspect.picture.index
        assert one.annotation_ids == right.annotation_ids(index)
        assert int(np.argmin(one.mask_ious)) in WRONG[index]


def test_a_second_look_changes_nothing_and_draws_both_opinions() -> None:
    network = build()
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    right = ShapesDataset(seed=0, start=VAL_START, size=SEEN_MOST + 3, **SHAPES)
    suspects = [Suspect(PictureMasks(index, 4, 1.0, 0.1), 9.0, ("loss_mask",)) for index in range(SEEN_MOST + 3)]
    seen = look_again(network, Planted(right, {}), suspects, Fabric(accelerator="cpu", devices=1))
    assert len(seen) == SEEN_MOST
    assert network.training
    assert network.transform.paste_masks
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for one in seen:
        index = one.suspect.picture.index
        assert len(one.mask_ious) == len(one.annotation_ids) == len(right.load(index).target["labels"])
        assert all(0 <= iou <= 1 for iou in one.mask_ious)
    picture = seen[0].drawn
    assert picture.shape == (64, 64, 3)
    assert (picture == (0, 220, 0)).all(axis=-1).any() or (picture == (255, 40, 40)).all(axis=-1).any()
    sheet = contact_sheet(seen, [f"{number}.png" for number in range(len(seen))])
    assert sheet.shape == (2 * 256, 4 * 240, 3)


def test_a_pictures_numbers_add_up_to_those_of_the_set() -> None:
    network = build()
    fabric = Fabric(accelerator="cpu", devices=1)
    right = ShapesDataset(seed=0, start=VAL_START, size=6, **{**SHAPES, "min_objects": 0})
    assert any(len(right.load(index).target["labels"]) == 0 for index in range(6))
    weights = dict.fromkeys(LOSSES, 1.0)
    samples = list(reversed(list(ValidationSamples(right))))
    result = validate(network, samples, right.ground_truth(), fabric=fabric, max_dets=100, loss_weights=weights)
    indices = [picture.index for picture in result.pictures]
    assert indices == [index for index in range(6) if len(right.load(index).target["labels"]) > 0]
    regions = sum(picture.regions for picture in result.pictures)
    joined = sum(picture.loss_mask * picture.regions for picture in result.pictures) / regions
    assert joined == pytest.approx(result.losses["loss_mask"])
    assert all(0 <= picture.mask_iou <= 1 for picture in result.pictures)
