"""Convolutions as matrix products against torch's own: values, gradients, memory formats, mixed precision."""

from __future__ import annotations

from copy import deepcopy
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from maskrcnn_exp.model import gemm_conv as module
from maskrcnn_exp.model.gemm_conv import GemmConv2d, use_gemm_convolutions
from tests.model.gradients import with_gradients

SIDES = st.integers(1, 9)
FORMATS = {True: torch.channels_last, False: torch.contiguous_format}
ALWAYS = patch.object(module, "_ROWS_PER_CHANNEL", float("inf"))
"""Take the product for 3 × 3 on maps of any size."""


def taken_over(conv: nn.Module) -> tuple[nn.Module, nn.Module]:
    """A copy whose convolutions may be products, and the module as it was."""
    ours = nn.Sequential(deepcopy(conv))
    use_gemm_convolutions(ours)
    return ours[0], conv


def picture(shape: tuple[int, ...], channels_last: bool) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(memory_format=FORMATS[channels_last])


def assert_same(ours: nn.Module, theirs: nn.Module, x: Tensor, mixed: bool = False) -> None:
    """Hold ours against torch's float32, to bfloat16's precision where ours runs in mixed precision.

    torch's own bfloat16 is no reference: with AMX, oneDNN 3.12 leaves parts of a 5 × 1 output of stride 2 unwritten.
    """
    found, expected = with_gradients(ours, x, mixed), with_gradients(theirs, x)
    assert found.keys() == expected.keys()
    assert found["out"].dtype == (torch.bfloat16 if mixed else torch.float32)
    for name, value in found.items():
        exact = expected[name]
        largest = torch.cat([exact.detach().abs().flatten(), torch.ones(1)]).max().item()
        tolerance = (0.02 if mixed else 1e-4) * largest
        assert value.shape == exact.shape, name
        torch.testing.assert_close(
            value.float(), exact, rtol=0, atol=tolerance, msg=lambda t, name=name: f"{name}: {t}"
        )


FORMATS_OF_X_AND_WEIGHT = st.tuples(st.booleans(), st.booleans())
"""Whether each is channels-last. A contiguous x goes to torch's own convolution."""


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), SIDES, SIDES),
    kernel=st.sampled_from([1, 3]),
    stride=st.sampled_from([(1, 1), (2, 2), (1, 2), (3, 1)]),
    bias=st.booleans(),
    channels_last=FORMATS_OF_X_AND_WEIGHT,
    mixed=st.booleans(),
)
@example(shape=(1, 1, 1), kernel=3, stride=(2, 2), bias=True, channels_last=(True, True), mixed=False)
@example(shape=(2, 9, 2), kernel=3, stride=(2, 2), bias=True, channels_last=(True, False), mixed=True)
def test_convolution_is_torchs(
    shape: tuple[int, int, int],
    kernel: int,
    stride: tuple[int, int],
    bias: bool,
    channels_last: tuple[bool, bool],
    mixed: bool,
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 6, kernel, stride, kernel // 2, bias=bias).to(memory_format=FORMATS[channels_last[1]])
    ours, theirs = taken_over(conv)
    assert type(ours) is GemmConv2d
    pictures, height, width = shape
    with ALWAYS:
        assert_same(ours, theirs, picture((pictures, 5, height, width), channels_last[0] or mixed), mixed)


@pytest.mark.parametrize("kernel", [1, 3])
def test_no_picture_is_a_batch_too(kernel: int) -> None:
    ours, theirs = taken_over(nn.Conv2d(5, 6, kernel, padding=kernel // 2))
    assert_same(ours, theirs, picture((0, 5, 4, 4), True))


@pytest.mark.parametrize("stride", [1, 2, (1, 2)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (5, 4)])
def test_gradient_of_the_3x3_product_is_that_of_its_values(
    stride: int | tuple[int, int], height: int, width: int
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    pair = (stride, stride) if isinstance(stride, int) else stride
    assert torch.autograd.gradcheck(lambda *given: module._Conv3x3.apply(*given, pair), (x, weight))
    found, expected = module._Conv3x3.apply(x, weight, pair), F.conv2d(x, weight, stride=stride, padding=1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    grads, expected_grads = (torch.autograd.grad((out**2).sum(), (x, weight)) for out in (found, expected))
    torch.testing.assert_close(grads, expected_grads, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("strides", [(200, 1, 1, 40), (200, 1, 200, 40)])
def test_strides_of_a_side_of_one_mean_nothing(strides: tuple[int, ...]) -> None:
    """A tensor with h = 1 is channels-last whatever the stride of h says, and padding may then take another format."""
    x = torch.randn(2 * 200, generator=torch.Generator().manual_seed(1)).as_strided((2, 40, 1, 5), strides)
    ours, theirs = taken_over(nn.Conv2d(40, 40, 3, padding=1))
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert_same(ours, theirs, x)


def products(conv: nn.Module, x: Tensor) -> int:
    """How many 3 × 3 products one forward pass takes."""
    with patch.object(module, "_Conv3x3", wraps=module._Conv3x3) as product:
        conv(x)
    return len(product.apply.mock_calls)


@pytest.mark.parametrize(
    ("pictures", "side", "stride", "expected"),
    [
        (1, 4, 1, 1),  # 16 rows, and 0.6 · 30 = 18
        (2, 3, 1, 0),  # 18 rows
        (2, 5, 2, 0),  # 2 · 3 · 3 = 18 rows
        (2, 4, 2, 1),  # 2 · 2 · 2 = 8 rows
    ],
)
def test_a_3x3_convolution_is_a_product_on_the_smallest_maps_only(
    pictures: int, side: int, stride: int, expected: int
) -> None:
    ours, _ = taken_over(nn.Conv2d(40, 30, 3, stride, 1))
    assert products(ours, picture((pictures, 40, side, side), True)) == expected


def test_a_contiguous_picture_is_left_to_torch() -> None:
    ours, _ = taken_over(nn.Conv2d(40, 30, 3, padding=1))
    assert products(ours, picture((1, 40, 3, 3), False)) == 0


def test_names_and_parameters_stay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, padding=1))
    state, parameters = list(network.state_dict()), list(network.parameters())
    use_gemm_convolutions(network)
    assert list(network.state_dict()) == state
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True))
    assert [type(layer).__name__ for layer in network] == ["GemmConv2d", "GemmConv2d"]


class Own(nn.Conv2d):
    """Somebody's own convolution, whose forward must stay."""


LEFT = [
    nn.Conv2d(4, 4, 3, padding=1, groups=2),
    nn.Conv2d(4, 4, 1, groups=4),
    nn.Conv2d(4, 4, 3, padding=2, dilation=2),
    nn.Conv2d(4, 4, 3),
    nn.Conv2d(4, 4, 1, padding=1),
    nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    nn.Conv2d(4, 4, 3, padding="same"),
    nn.Conv2d(3, 4, 7, stride=2, padding=3),
    nn.Conv2d(4, 4, (1, 3), padding=(0, 1)),
    nn.ConvTranspose2d(4, 4, 2, stride=2),
    nn.Conv1d(4, 4, 1),
    Own(4, 4, 1),
]


@pytest.mark.parametrize("conv", LEFT, ids=str)
def test_other_convolutions_are_left_alone(conv: nn.Module) -> None:
    ours, theirs = taken_over(conv)
    assert type(ours) is type(theirs)
