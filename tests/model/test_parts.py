"""The vocabulary of parts and losses, and who owns which parameter."""

from __future__ import annotations

import pytest
import torch

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.config_names import conf_dir
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.parts import LOSS_OWNER, LOSSES, PARTS, part_of
from tests.model.tiny import CLASSES

PRESETS = sorted(path.stem for path in (conf_dir() / "model").glob("*.yaml"))


def test_words_are_frozen() -> None:
    assert PARTS == ("backbone", "fpn", "rpn", "box", "mask")
    assert LOSSES == ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask")


def test_every_loss_has_one_owner_among_the_heads() -> None:
    assert list(LOSS_OWNER) == list(LOSSES)
    assert list(LOSS_OWNER.values()) == ["rpn", "rpn", "box", "box", "mask"]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("backbone.body.layer1.0.conv1.weight", "backbone"),
        ("backbone.fpn.inner_blocks.0.0.weight", "fpn"),
        ("rpn.head.cls_logits.bias", "rpn"),
        ("roi_heads.box_head.fc6.weight", "box"),
        ("roi_heads.box_predictor.cls_score.weight", "box"),
        ("roi_heads.mask_head.0.0.weight", "mask"),
        ("roi_heads.mask_predictor.conv5_mask.weight", "mask"),
    ],
)
def test_owner_of_a_parameter(name: str, part: str) -> None:
    assert part_of(name) == part


@pytest.mark.parametrize("name", ["weight", "roi_heads.keypoint_head.0.weight", "backboned.body.conv1.weight"])
def test_unknown_name_has_no_owner(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        part_of(name)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_parameter_of_a_preset_has_an_owner_and_every_part_has_parameters(preset: str) -> None:
    config = to_train_config(compose([f"model={preset}", "run_dir=unused"])).model
    with torch.device("meta"):  # names and shapes without memory
        network, _ = build_maskrcnn(config, CLASSES, detections_per_image=100, load_weights=False)
    owners = {part_of(name) for name, _ in network.named_parameters()}
    assert owners == set(PARTS)
