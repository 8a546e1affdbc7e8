"""Ten named groups: disjoint, complete, in one order whatever the multipliers are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.parts import PARTS, part_of
from maskrcnn_exp.optim.lr_policy import LrPolicy
from maskrcnn_exp.optim.param_groups import ParamGroup, build_groups, by_part
from maskrcnn_exp.schema import BoxHeadConfig, MaskHeadConfig, ModelConfig

NAMES = [f"{part}/{kind}" for part in PARTS for kind in ("decay", "no_decay")]
MULTIPLIERS = st.fixed_dictionaries(
    {part: st.one_of(st.sampled_from([0.0, 0.1, 1.0, 10.0]), st.floats(0, 100)) for part in PARTS}
)


def network(**changes: object) -> MaskRCNN:
    box_head = BoxHeadConfig(convs=1, fcs=1, width=8, norm="bn")
    config = ModelConfig(
        backbone="resnet18",
        fpn_channels=8,
        fpn_norm="bn",
        box_head=box_head,
        mask_head=MaskHeadConfig(width=8, depth=1),
    )
    for name, value in changes.items():
        setattr(config, name, value)
    with torch.device("meta"):
        return build_maskrcnn(config, num_classes=3, detections_per_image=5)[0]


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    return network()


def names_in(groups: list[ParamGroup]) -> list[str]:
    return [name for group in groups for name, _ in group.parameters]


@settings(max_examples=25, deadline=None)
@given(mult=MULTIPLIERS)
def test_groups_are_ten_disjoint_and_complete_whatever_the_multipliers(mult: dict[str, float]) -> None:
    model = network()
    groups = build_groups(model, LrPolicy(0.02, mult), weight_decay=1e-4)  # type: ignore[arg-type]
    assert [group.name for group in groups] == NAMES
    assert names_in(groups) == names_in(build_groups(model, LrPolicy(1.0), weight_decay=0.0))
    assert sorted(names_in(groups)) == sorted(name for name, _ in model.named_parameters())
    for group in groups:
        assert group.lr == pytest.approx(0.02 * mult[group.part])
        assert group.name.startswith(f"{group.part}/")
        assert {part_of(name) for name, _ in group.parameters} <= {group.part}


def test_names_and_parameters_belong_together(model: MaskRCNN) -> None:
    own = dict(model.named_parameters())
    groups = build_groups(model, LrPolicy(1.0), weight_decay=0.0)
    assert all(parameter is own[name] for group in groups for name, parameter in group.parameters)
    assert sum(group.size for group in groups) == sum(parameter.numel() for parameter in own.values())


def test_norms_and_biases_do_not_decay(model: MaskRCNN) -> None:
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    groups = {group.name: group for group in build_groups(model, LrPolicy(1.0), weight_decay=0.05)}
    for part in PARTS:
        assert (groups[f"{part}/decay"].weight_decay, groups[f"{part}/no_decay"].weight_decay) == (0.05, 0.0)
        for name, _ in groups[f"{part}/decay"].parameters:
            assert name.endswith(".weight")
            assert name.removesuffix(".weight") not in norms
        for name, _ in groups[f"{part}/no_decay"].parameters:
            assert name.endswith(".bias") or name.removesuffix(".weight") in norms
    assert "backbone.body.layer1.0.bn1.weight" in dict(groups["backbone/no_decay"].parameters)
    assert "roi_heads.mask_head.0.0.bias" in dict(groups["mask/no_decay"].parameters)
    assert "roi_heads.mask_head.0.0.weight" in dict(groups["mask/decay"].parameters)


def test_layer_norms_do_not_decay() -> None:
    swin = network(backbone="swin_t")
    layer_norms = {name for name, module in swin.named_modules() if isinstance(module, nn.LayerNorm)}
    decaying = build_groups(swin, LrPolicy(1.0), weight_decay=0.05)[0]
    assert len(layer_norms) > 0
    assert not layer_norms & {name.rpartition(".")[0] for name, _ in decaying.parameters}


def test_frozen_parameters_are_in_no_group() -> None:
    frozen = network(trainable_stages=2)
    names = names_in(build_groups(frozen, LrPolicy(1.0), weight_decay=0.0))
    stages = {name.split(".")[2] for name in names if name.startswith("backbone.body.")}
    assert stages == {"layer3", "layer4"}


def test_frozen_part_keeps_its_empty_groups() -> None:
    frozen = network(trainable_stages=0)
    groups = build_groups(frozen, LrPolicy(1.0), weight_decay=0.0)
    assert [group.name for group in groups] == NAMES
    assert [group.size for group in groups[:2]] == [0, 0]
    assert by_part(groups)["backbone"] == []


@pytest.mark.parametrize("mult", [0.1, 10.0])
def test_multiplier_of_a_part_without_parameters_is_refused(mult: float) -> None:
    policy = LrPolicy(1.0, {**dict.fromkeys(PARTS, 1.0), "backbone": mult})
    with pytest.raises(ConfigError, match=rf"lr\.backbone_mult={mult:g} has no effect.*model\.trainable_stages=-1"):
        build_groups(network(trainable_stages=0), policy, weight_decay=0.0)


@pytest.mark.parametrize("mult", [0.0, 1.0])
def test_multiplier_that_asks_for_nothing_is_fine(mult: float) -> None:
    policy = LrPolicy(1.0, {**dict.fromkeys(PARTS, 1.0), "backbone": mult})
    assert len(build_groups(network(trainable_stages=0), policy, weight_decay=0.0)) == 10


def test_parameter_of_no_part_is_refused() -> None:
    model = network()
    model.roi_heads.keypoint_head = nn.Linear(2, 2)
    with pytest.raises(ConfigError, match=r"parameter roi_heads\.keypoint_head\.weight belongs to none of the parts"):
        build_groups(model, LrPolicy(1.0), weight_decay=0.0)


def test_by_part_puts_decaying_parameters_first(model: MaskRCNN) -> None:
    groups = build_groups(model, LrPolicy(1.0), weight_decay=0.0)
    parts = by_part(groups)
    assert list(parts) == list(PARTS)
    expected = [parameter for group in groups[8:] for _, parameter in group.parameters]
    assert len(parts["mask"]) == len(expected)
    assert all(one is other for one, other in zip(parts["mask"], expected, strict=True))
