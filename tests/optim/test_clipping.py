"""Norms and clipping worked by hand on gradients of two numbers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.parameter import Parameter

from maskrcnn_exp.model.parts import PARTS, Part
from maskrcnn_exp.optim.clipping import ClipLimits, clip_parts, part_norms


def parameters_with(gradients: dict[Part, list[list[float]]], device: str = "cpu") -> dict[Part, list[Parameter]]:
    """Parameters of each part with these gradients; parts that are not named have none."""
    parts: dict[Part, list[Parameter]] = {part: [] for part in PARTS}
    for part, values in gradients.items():
        for value in values:
            parameter = Parameter(torch.zeros(len(value), device=device))
            parameter.grad = torch.tensor(value, device=device)
            parts[part].append(parameter)
    return parts


def gradients_of(parts: dict[Part, list[Parameter]]) -> dict[Part, list[list[float]]]:
    return {
        part: [p.grad.tolist() for p in parameters if p.grad is not None]
        for part, parameters in parts.items()
        if parameters
    }


def clip(parts: dict[Part, list[Parameter]], limits: ClipLimits) -> dict[Part, bool]:
    return clip_parts(parts, part_norms(parts), limits)


def limits_of(**limits: float) -> ClipLimits:
    return ClipLimits(parts={part: limits.get(part, math.inf) for part in PARTS})


def test_norms_worked_by_hand() -> None:
    parts = parameters_with({"backbone": [[3.0, 4.0]], "box": [[1.0, 2.0], [2.0]], "mask": [[0.0]]})
    # √(9 + 16), √(1 + 4 + 4)
    assert part_norms(parts).tolist() == pytest.approx([5.0, 0.0, 0.0, 3.0, 0.0])


def test_parameter_without_a_gradient_counts_nothing() -> None:
    parts = parameters_with({"mask": [[6.0, 8.0]]})
    parts["mask"].append(Parameter(torch.ones(3)))
    parts["fpn"].append(Parameter(torch.ones(3)))
    assert part_norms(parts).tolist() == pytest.approx([0.0, 0.0, 0.0, 0.0, 10.0])
    assert clip(parts, limits_of(mask=5.0, fpn=5.0))["fpn"] is False
    assert parts["mask"][1].grad is None


def test_norms_without_any_gradient_are_zero() -> None:
    assert part_norms({part: [] for part in PARTS}).tolist() == [0.0] * 5


def test_norms_of_a_frozen_part_lie_on_the_device_of_the_others() -> None:
    norms = part_norms(parameters_with({"mask": [[3.0, 4.0]]}, device="meta"))
    assert norms.device.type == "meta"
    assert norms.shape == (5,)


def test_infinite_and_missing_numbers_show_in_the_norm() -> None:
    norms = part_norms(parameters_with({"rpn": [[math.inf, 1.0]], "box": [[math.nan]], "mask": [[1.0]]}))
    assert math.isinf(norms[2])
    assert math.isnan(norms[3])
    assert norms[4] == 1.0


def laid_out(layout: str, shape: tuple[int, int, int, int], generator: torch.Generator) -> Tensor:
    """A gradient of this shape whose numbers lie in memory in one of several ways."""
    n, c, h, w = shape
    if layout == "channels_last":
        return torch.randn(shape, generator=generator).to(memory_format=torch.channels_last)
    if layout == "transposed":
        return torch.randn((w, h, c, n), generator=generator).permute(3, 2, 1, 0)
    if layout == "every second":
        return torch.randn((n, c, h, 2 * w), generator=generator)[..., ::2]
    if layout == "expanded":
        return torch.randn((n, c, 1, 1), generator=generator).expand(shape)
    if layout == "within a bucket":  # as DistributedDataParallel's are
        return torch.randn(7 + n * c * h * w + 5, generator=generator)[7:-5].view(shape)
    return torch.randn(shape, generator=generator)


LAYOUTS = st.sampled_from(["dense", "channels_last", "transposed", "every second", "expanded", "within a bucket"])


@settings(deadline=None, max_examples=60)
@given(gradients=st.lists(st.tuples(LAYOUTS, st.tuples(*[st.integers(1, 7)] * 4)), min_size=1, max_size=4))
def test_norm_is_torchs_however_a_gradient_lies_in_memory(
    gradients: list[tuple[str, tuple[int, int, int, int]]],
) -> None:
    generator = torch.Generator().manual_seed(1)
    parts: dict[Part, list[Parameter]] = {part: [] for part in PARTS}
    for layout, shape in gradients:
        parameter = Parameter(torch.zeros(shape))
        parameter.grad = laid_out(layout, shape, generator)
        parts["mask"].append(parameter)
    expected = torch.nn.utils.get_total_norm([p.grad for p in parts["mask"] if p.grad is not None])
    assert part_norms(parts)[4].item() == pytest.approx(expected.item(), rel=1e-5)


def test_one_limit_scales_all_parts_alike() -> None:
    parts = parameters_with({"backbone": [[6.0]], "mask": [[8.0], [0.0]]})
    # The norm of all is √(36 + 64) = 10; a limit of 5 halves everything.
    clipped = clip(parts, ClipLimits(total=5.0))
    assert gradients_of(parts) == {"backbone": [[3.0]], "mask": [[4.0], [0.0]]}
    assert clipped == {"backbone": True, "fpn": False, "rpn": False, "box": False, "mask": True}


def test_limit_of_a_part_scales_that_part_only() -> None:
    parts = parameters_with({"backbone": [[6.0]], "box": [[2.0]], "mask": [[8.0, 6.0]]})
    clipped = clip(parts, limits_of(backbone=6.0, box=4.0, mask=1.0))
    # 6 is not above 6; 2 is below 4; ‖(8, 6)‖ = 10 goes to 1.
    assert gradients_of(parts)["backbone"] == [[6.0]]
    assert gradients_of(parts)["box"] == [[2.0]]
    assert gradients_of(parts)["mask"][0] == pytest.approx([0.8, 0.6])
    assert [part for part, was in clipped.items() if was] == ["mask"]


@pytest.mark.parametrize("limits", [ClipLimits(), ClipLimits(total=math.inf), limits_of()])
def test_infinite_limit_changes_nothing(limits: ClipLimits) -> None:
    parts = parameters_with({"backbone": [[1e30]], "mask": [[8.0]]})
    assert not any(clip(parts, limits).values())
    assert gradients_of(parts) == {"backbone": [[pytest.approx(1e30)]], "mask": [[8.0]]}


def test_limit_that_is_printed() -> None:
    assert ClipLimits(total=3.0).of("mask") == 3.0
    assert limits_of(mask=2.0).of("mask") == 2.0
    assert ClipLimits().of("fpn") == math.inf


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-1e3, 1e3, width=32), min_size=5, max_size=5),
    limit=st.floats(0.015625, 1e3, width=32),
)
def test_one_limit_clips_as_torch_does(values: list[float], limit: float) -> None:
    gradients = {part: [[value]] for part, value in zip(PARTS, values, strict=True)}
    own, expected = parameters_with(gradients), parameters_with(gradients)
    clip(own, ClipLimits(total=limit))
    torch.nn.utils.clip_grad_norm_([p for part in expected.values() for p in part], limit)
    for part in PARTS:
        # torch divides by norm + 1e-6
        assert gradients_of(own)[part][0] == pytest.approx(gradients_of(expected)[part][0], rel=1e-3, abs=1e-6)
    assert part_norms(own).norm().item() <= limit * (1 + 1e-5)
