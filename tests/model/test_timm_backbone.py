"""Pyramids of timm's networks: strides, parts, frozen stages and norms, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.ops import FrozenBatchNorm2d

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.model.backbone import STRIDES
from maskrcnn_exp.model.build import build_maskrcnn, hold_norms
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.model.timm_backbone import build_timm_fpn, freeze_timm_stages, timm_maps
from maskrcnn_exp.optim.lr_policy import LrPolicy
from maskrcnn_exp.optim.param_groups import build_groups, by_part
from tests.model.tiny import CLASSES, as_torchvision, picture, tiny_config

pytest.importorskip("timm", reason="the optional extra timm is not installed")

FAMILIES = ["convnext_atto", "resnet10t", "mobilenetv3_small_050", "efficientnet_b0", "swin_tiny_patch4_window7_224"]


def network_of(name: str, **changes: object) -> MaskRCNN:
    torch.manual_seed(0)
    config = replace(tiny_config(), backbone=f"timm/{name}", backbone_norm="bn", **changes)
    return build_maskrcnn(config, CLASSES, 20)[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_pyramid_has_strides_4_to_32_and_one_pooled_level(name: str) -> None:
    maps = timm_maps(f"timm/{name}", "bn")
    pyramid = build_timm_fpn(maps, 16, "none").eval()
    with torch.no_grad():
        levels = pyramid(torch.zeros(1, 3, 96, 160))
    shapes = {level: tuple(one.shape) for level, one in levels.items()}
    expected = {str(level): (1, 16, 96 // stride, 160 // stride) for level, stride in enumerate(STRIDES)}
    assert shapes == expected | {"pool": (1, 16, 2, 3)}  # 96 / 64 and 160 / 64, rounded up


@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_moves_every_learning_parameter_of_every_part(name: str) -> None:
    network = network_of(name).train()
    groups = build_groups(network, LrPolicy(base=0.1), 0.0)
    assert all(by_part(groups)[part] for part in PARTS)
    losses = network(*as_torchvision([picture(0), picture(1)]))
    assert set(losses) == set(LOSSES)
    sum(losses.values()).backward()
    silent = [name for group in groups for name, parameter in group.parameters if parameter.grad is None]
    assert silent == []


def test_parts_of_a_timm_network_are_told_apart_by_name() -> None:
    names = {
        group.part: [name for name, _ in group.parameters]
        for group in build_groups(network_of("resnet10t"), LrPolicy(base=0.1), 0.0)
    }
    assert all(name.startswith("backbone.body.net.") for name in names["backbone"])
    assert all(name.startswith("backbone.fpn.") for name in names["fpn"])


@pytest.mark.parametrize("name", ["convnext_atto", "swin_tiny_patch4_window7_224", "mobilenetv3_small_050"])
def test_no_network_draws_from_the_global_generator(name: str) -> None:
    maps = timm_maps(f"timm/{name}", "bn").train()
    before = torch.get_rng_state()
    maps(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_frozen_norms_give_the_values_of_the_learning_ones_in_evaluation(name: str) -> None:
    learning, frozen = timm_maps(f"timm/{name}", "bn"), timm_maps(f"timm/{name}", "frozen_bn")
    for module in learning.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.fill_(0.3)
    frozen.load_state_dict(learning.state_dict(), strict=False)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    eps = {path: module.eps for path, module in learning.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert {path: module.eps for path, module in frozen.named_modules() if path in eps} == eps
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected, got = learning.eval()(image), frozen.train()(image)
    for level in expected:
        torch.testing.assert_close(got[level], expected[level], rtol=1e-3, atol=1e-3 * expected[level].abs().max())


def test_faster_code_gives_the_numbers_of_plain_code() -> None:
    """Frozen norms are folded into the convolutions before them, which must be those that timm runs before them."""
    config = replace(tiny_config(), backbone="timm/resnet10t", backbone_norm="frozen_bn")
    torch.manual_seed(0)
    plain = build_maskrcnn(config, CLASSES, 20, fast=False)[0]
    fast = build_maskrcnn(config, CLASSES, 20)[0]
    statistics = torch.Generator().manual_seed(1)
    for module in plain.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.running_var.uniform_(0.5, 2, generator=statistics)
            module.running_mean.uniform_(-1, 1, generator=statistics)
    fast.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected, got = plain.eval().backbone(image), fast.eval().backbone(image)
    for level in expected:
        torch.testing.assert_close(got[level], expected[level], rtol=1e-4, atol=1e-4)


def test_network_without_batch_norms_cannot_have_frozen_ones() -> None:
    with pytest.raises(ConfigError, match=r"frozen_bn: timm/convnext_atto has no batch norm.*backbone_norm=bn"):
        timm_maps("timm/convnext_atto", "frozen_bn")


@pytest.mark.parametrize("name", FAMILIES)
def test_each_stage_more_sets_more_parameters_free(name: str) -> None:
    maps = timm_maps(f"timm/{name}", "bn")
    counts = []
    for stages in range(6):
        maps.requires_grad_(True)
        freeze_timm_stages(maps, name, stages)
        counts.append(sum(parameter.requires_grad for parameter in maps.parameters()))
    assert counts[0] == 0
    assert counts == sorted(set(counts))
    assert counts[5] == len(list(maps.parameters()))


def test_stages_of_a_resnet_are_its_stem_and_its_four_layers() -> None:
    maps = timm_maps("timm/resnet10t", "bn")
    freeze_timm_stages(maps, "timm/resnet10t", 3)
    learning = {name.split(".")[1] for name, parameter in maps.named_parameters() if parameter.requires_grad}
    assert learning == {"layer2", "layer3", "layer4"}


def test_norms_of_frozen_stages_are_held() -> None:
    network = network_of("resnet10t", trainable_stages=3).train()
    hold_norms(network)
    body = network.backbone.body.net
    assert not body["bn1"].training
    assert all(module.training for module in body["layer2"].modules() if isinstance(module, nn.BatchNorm2d))


def test_stages_that_cannot_be_told_apart_are_refused() -> None:
    maps = timm_maps("timm/hrnet_w18_small", "bn")
    with pytest.raises(ConfigError, match=r"trainable_stages=3: the stages of timm/hrnet.*lr\.backbone_mult"):
        freeze_timm_stages(maps, "timm/hrnet_w18_small", 3)


def test_unknown_network_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no such network\. Did you mean timm/convnext_tiny"):
        timm_maps("timm/convnext_tinny", "bn")
    with pytest.raises(ConfigError, match=r"timm has no weights 'in1' for convnext_atto\. It has: d2_in1k"):
        timm_maps("timm/convnext_atto.in1", "bn")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vit_tiny_patch16_224", "its maps have stride 16; a pyramid needs two or more of 4, 8, 16, 32"),
        ("visformer_tiny", "takes pictures of certain sizes only|gives no feature maps of this network"),  # by version
        ("maxvit_rmlp_pico_rw_256", "takes pictures of certain sizes only"),
        ("mixer_s32_224", "gives no feature maps|its maps have stride"),
    ],
)
def test_network_without_a_pyramid_for_any_picture_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        timm_maps(f"timm/{name}", "bn")


def test_a_pyramid_of_fewer_levels_keeps_the_anchors_of_its_strides(monkeypatch: pytest.MonkeyPatch) -> None:
    """No small network of timm lacks stride 4 and takes any picture: here the real one is asked for 8 and more."""
    monkeypatch.setattr("maskrcnn_exp.model.timm_backbone.STRIDES", (8, 16, 32))
    config = replace(tiny_config(), backbone="timm/resnet10t", backbone_norm="bn")
    network, notes = build_maskrcnn(config, CLASSES, 20)
    assert network.rpn.anchor_generator.sizes == ((16,), (32,), (64,), (128,))
    assert notes == ["timm/resnet10t has maps of stride [8, 16, 32] only: anchors of [16, 32, 64, 128] pixels"]
    losses = network.train()(*as_torchvision([picture(0), picture(1)]))
    assert all(torch.isfinite(loss) for loss in losses.values())
