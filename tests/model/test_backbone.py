"""Pyramids of eight families of networks, which of their stages learn, and what is said of the others."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v3_small, resnet18
from torchvision.models.detection.backbone_utils import BackboneWithFPN, _resnet_fpn_extractor
from torchvision.ops import FrozenBatchNorm2d, StochasticDepth

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.model.backbone import STRIDES, build_fpn, build_stages, freeze_stages

HEIGHT, WIDTH = 128, 192

FAMILIES = [
    "resnet18",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "regnet_y_400mf",
    "efficientnet_b0",
    "densenet121",
    "convnext_tiny",
    "swin_t",
]


def stages_of(name: str, norm: str = "bn") -> nn.Sequential:
    """Shapes and names without memory; RegNet computes its widths from values and is small enough for real."""
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        return build_stages(name, norm)


def pyramid_of(name: str, norm: str = "bn") -> BackboneWithFPN:
    stages = stages_of(name, norm)
    with torch.device(next(stages.parameters()).device):
        return build_fpn(stages, name, 16, "none")


@pytest.mark.parametrize("name", FAMILIES)
def test_pyramid_has_strides_4_to_32_and_one_pooled_level(name: str) -> None:
    pyramid = pyramid_of(name).eval()
    device = next(pyramid.parameters()).device
    with torch.no_grad():
        levels = pyramid(torch.zeros(2, 3, HEIGHT, WIDTH, device=device))
    shapes = {level: tuple(map.shape) for level, map in levels.items()}
    expected = {str(level): (2, 16, HEIGHT // stride, WIDTH // stride) for level, stride in enumerate(STRIDES)}
    assert shapes == expected | {"pool": (2, 16, HEIGHT // 64, WIDTH // 64)}
    assert pyramid.out_channels == 16


@pytest.mark.parametrize("name", FAMILIES)
def test_no_network_draws_from_the_global_generator(name: str) -> None:
    depths = [module.p for module in stages_of(name).modules() if isinstance(module, StochasticDepth)]
    assert not any(depths)
    dropouts = [module.p for module in stages_of(name).modules() if isinstance(module, nn.Dropout)]
    assert not any(dropouts)


def test_swin_maps_are_turned_and_not_reshaped() -> None:
    torch.manual_seed(0)
    stages = build_stages("swin_t", "bn").eval()
    pyramid = build_fpn(stages, "swin_t", 16, "none").eval()
    picture = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        levels = pyramid.body(picture)
        first = stages[1](stages[0](picture))  # [1, h, w, c]
    assert first.shape == (1, 16, 24, 96)
    assert torch.equal(levels["0"], torch.einsum("nhwc->nchw", first))


def test_stages_of_a_resnet_give_torchvisions_values() -> None:
    torch.manual_seed(0)
    own = build_stages("resnet18", "bn")
    plain = resnet18()
    missing, unknown = plain.load_state_dict(own.state_dict(), strict=False)
    assert (missing, unknown) == (["fc.weight", "fc.bias"], [])
    plain.fc = plain.avgpool = nn.Identity()
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(own.eval()(picture).flatten(1), plain.eval()(picture))


def test_unknown_network_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"model\.backbone=resnet81: torchvision has no such.*resnet18.*swin_t"):
        build_stages("resnet81", "bn")


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "mnasnet0_5"])
@pytest.mark.parametrize("norm", ["bn", "frozen_bn"])
def test_network_without_feature_maps_is_refused(name: str, norm: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.backbone={name}: this network gives no feature maps.*Use a ResNet"):
        stages_of(name, norm)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_1"])
def test_network_without_the_strides_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.backbone={name}: no layer with stride .*4, 8, 16, 32"):
        pyramid_of(name)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121", "efficientnet_v2_s"])
def test_frozen_norms_have_the_eps_and_the_names_of_the_learning_ones(name: str) -> None:
    learning, frozen = stages_of(name), stages_of(name, "frozen_bn")
    norms = {path: m for path, m in learning.named_modules() if isinstance(m, nn.BatchNorm2d)}
    frozen_norms = {path: m for path, m in frozen.named_modules() if isinstance(m, FrozenBatchNorm2d)}
    assert len(norms) > 0
    assert {path: m.eps for path, m in frozen_norms.items()} == {path: m.eps for path, m in norms.items()}
    assert not any(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    counters = {f"{path}.num_batches_tracked" for path in norms}
    assert set(frozen.state_dict()) == set(learning.state_dict()) - counters


def test_frozen_network_gives_the_values_of_the_learning_one_in_evaluation() -> None:
    """Small running variances show the eps: MobileNetV3 was trained with 1e-3, not with 1e-5."""
    torch.manual_seed(0)
    learning, frozen = build_stages("mobilenet_v3_small", "bn"), build_stages("mobilenet_v3_small", "frozen_bn")
    for module in learning.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.fill_(1e-3)
    frozen.load_state_dict(learning.state_dict())
    plain = mobilenet_v3_small().features
    plain.load_state_dict(learning.state_dict())
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = plain.eval()(picture)
        torch.testing.assert_close(
            frozen.train()(picture), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item()
        )


@pytest.mark.parametrize("name", ["swin_t", "convnext_tiny"])
def test_network_without_batch_norms_cannot_have_frozen_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"backbone_norm=frozen_bn: {name} has no batch norm.*backbone_norm=bn"):
        stages_of(name, "frozen_bn")


def trainable(module: nn.Module) -> list[str]:
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad]


@pytest.mark.parametrize("count", range(6))
def test_trainable_stages_of_a_resnet_are_torchvisions_trainable_layers(count: int) -> None:
    pyramid = pyramid_of("resnet18")
    freeze_stages(pyramid, count)
    with torch.device("meta"):
        expected = _resnet_fpn_extractor(resnet18(), trainable_layers=count)
    assert trainable(pyramid) == trainable(expected)


@pytest.mark.parametrize("count", [-1, 5])
def test_every_stage_may_learn(count: int) -> None:
    pyramid = pyramid_of("mobilenet_v2")
    freeze_stages(pyramid, count)
    assert len(trainable(pyramid)) == len(list(pyramid.parameters()))


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121", "convnext_tiny", "swin_t"])
def test_each_stage_more_sets_more_parameters_free(name: str) -> None:
    counts = []
    for stages in range(6):
        pyramid = pyramid_of(name)
        freeze_stages(pyramid, stages)
        counts.append(len(trainable(pyramid.body)))
    assert counts[0] == 0
    assert counts == sorted(set(counts))
    assert counts[5] == len(list(pyramid.body.parameters()))
