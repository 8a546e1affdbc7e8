"""Frozen norms folded into convolutions: torchvision's values and gradients, names and buffers untouched."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet18, resnet50
from torchvision.ops import FrozenBatchNorm2d

from maskrcnn_exp.model.depthwise_conv import Float32DepthwiseConv2d, use_float32_depthwise
from maskrcnn_exp.model.frozen_norm import fold_frozen_norms
from maskrcnn_exp.model.gemm_conv import use_gemm_convolutions


def with_statistics(network: nn.Module) -> nn.Module:
    """Give every frozen norm statistics of its own: fresh ones are the identity and would hide a mistake."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, FrozenBatchNorm2d):
            for buffer in (module.weight, module.bias, module.running_mean):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) - 0.3)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return network


def pair(build: object) -> tuple[nn.Module, nn.Module]:
    """The same network as torchvision runs it, and folded."""
    torch.manual_seed(0)
    plain = with_statistics(build(norm_layer=FrozenBatchNorm2d))  # type: ignore[operator]
    folded = deepcopy(plain)
    use_gemm_convolutions(folded)
    use_float32_depthwise(folded)
    fold_frozen_norms(folded)
    return plain, folded


def output_and_gradients(network: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    out: Tensor = network(x)
    network.zero_grad()
    out.square().mean().backward()  # type: ignore[no-untyped-call]
    return out.detach(), {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("build", [resnet18, resnet50, mobilenet_v2])
def test_folded_networks_give_torchvisions_values_and_gradients(build: object) -> None:
    plain, folded = pair(build)
    plain.eval(), folded.eval()  # dropout apart, nothing changes
    x = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    expected, expected_gradients = output_and_gradients(plain.double(), x.double())
    found, gradients = output_and_gradients(folded.double(), x.double())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("build", [resnet18, mobilenet_v2])
def test_every_frozen_norm_of_a_backbone_is_folded_and_keeps_its_names(build: object) -> None:
    plain, folded = pair(build)
    assert list(folded.state_dict()) == list(plain.state_dict())
    assert not [name for name, module in folded.named_modules() if type(module) is FrozenBatchNorm2d]


def test_statistics_loaded_after_folding_count() -> None:
    plain, folded = pair(resnet18)
    for module in plain.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.bias.add_(0.5)
    x = torch.randn(1, 3, 32, 32)
    assert not torch.allclose(folded(x), plain(x), rtol=1e-3, atol=1e-3)
    folded.load_state_dict(plain.state_dict())
    torch.testing.assert_close(folded(x), plain(x), rtol=1e-3, atol=1e-3)


def test_a_copy_folds_its_own_norms() -> None:
    _, folded = pair(resnet18)
    copied = deepcopy(folded)
    copied.bn1.running_mean.add_(3.0)
    x = torch.randn(1, 3, 32, 32)
    assert not torch.allclose(copied(x), folded(x))


def test_norms_that_learn_are_left_alone() -> None:
    network = resnet18()
    before = [type(module) for module in network.modules()]
    fold_frozen_norms(network)
    assert [type(module) for module in network.modules()] == before


@pytest.mark.parametrize("stride", [1, 2])
def test_a_strided_depthwise_convolution_is_computed_in_float32_inside_autocast(stride: int) -> None:
    conv = nn.Conv2d(16, 16, 3, stride=stride, padding=1, groups=16, bias=False)
    x = torch.randn(2, 16, 9, 9, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = conv(x)
    exact = conv(x.float())
    use_float32_depthwise(nn.Sequential(conv))
    assert isinstance(conv, Float32DepthwiseConv2d) == (stride == 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = conv(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, exact.to(torch.bfloat16) if stride == 2 else rounded, rtol=0, atol=0)
