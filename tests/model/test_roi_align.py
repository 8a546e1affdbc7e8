"""The matrix form against torchvision's operator: values, gradients, odd boxes, and when each is used."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign, roi_align

from maskrcnn_exp.model import roi_align as module
from maskrcnn_exp.model.backbone import STRIDES
from maskrcnn_exp.model.roi_align import MatrixRoiAlign, axis_weights, roi_align_matrix

CHANNELS = 3
NAMES = ["0", "1", "2", "3"]


@dataclass(frozen=True)
class Case:
    """Maps of strides 4 … 32 over padded pictures, and the boxes of each picture."""

    height: int  # cells of the largest map; a multiple of 8, as padding to 32 pixels makes it
    width: int
    boxes: tuple[tuple[tuple[float, float, float, float], ...], ...]
    output_size: int = 7

    def maps(self) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self.height * 100 + self.width)
        shapes = [(len(self.boxes), CHANNELS, self.height >> level, self.width >> level) for level in range(4)]
        return {
            name: torch.randn(shape, generator=generator).requires_grad_()
            for name, shape in zip(NAMES, shapes, strict=True)
        }

    def box_tensors(self) -> list[Tensor]:
        return [torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) for boxes in self.boxes]

    @property
    def image_shapes(self) -> list[tuple[int, int]]:
        return [(self.height * 4, self.width * 4)] * len(self.boxes)


def box_strategy(height: int, width: int) -> st.SearchStrategy[tuple[float, float, float, float]]:
    """Boxes inside, partly outside and wholly outside, below a pixel and beyond the picture, in pixels."""

    def corner(side: int) -> st.SearchStrategy[float]:
        return st.floats(-1.5 * side, 1.5 * side, width=32)

    def extent(side: int) -> st.SearchStrategy[float]:
        return st.one_of(st.floats(0.03125, 1, width=32), st.floats(1, 2.0 * side, width=32))

    box = st.tuples(corner(width), corner(height), extent(width), extent(height))
    whole = st.just((0.0, 0.0, float(width), float(height)))
    return st.one_of(whole, box.map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    height, width = (draw(st.sampled_from([16, 24, 32, 40, 48, 56])) for _ in range(2))
    boxes = st.lists(box_strategy(height * 4, width * 4), max_size=5).map(tuple)
    pictures = draw(st.lists(boxes, min_size=1, max_size=3).map(tuple))
    return Case(height, width, pictures, draw(st.sampled_from([7, 14])))


def pooled_with_gradients(pool: MultiScaleRoIAlign, case: Case) -> tuple[Tensor, list[Tensor]]:
    """Output, and the gradient of each map for output gradients that differ from cell to cell."""
    maps = case.maps()
    pooled: Tensor = pool(maps, case.box_tensors(), case.image_shapes)
    generator = torch.Generator().manual_seed(1)
    outer = torch.randn(pooled.shape, generator=generator)
    found = torch.autograd.grad((pooled * outer).sum(), list(maps.values()), allow_unused=True)
    return pooled, [
        torch.zeros_like(feature) if grad is None else grad for feature, grad in zip(maps.values(), found, strict=True)
    ]


@settings(max_examples=40, deadline=None)
@given(case=cases())
@example(case=Case(56, 16, ((), ((3.0, 4.0, 30.0, 200.0),), ()), 14))
@example(case=Case(16, 56, (((-80.0, -80.0, -20.0, -20.0), (300.0, 90.0, 400.0, 120.0)),)))  # nothing to read
@example(case=Case(32, 32, (((-4.0, -4.0, 2.0, 2.0), (125.9, 125.9, 126.1, 126.1)),)))  # the rim, and a fifth of a px
@example(case=Case(56, 56, (((0.0, 0.0, 224.0, 224.0), (0.0, 0.0, 8.0, 8.0), (0.0, 0.0, 112.0, 112.0)),)))  # levels mix
def test_matrix_form_gives_torchvisions_values_and_gradients(case: Case) -> None:
    values, grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), case.output_size), case)
    expected, expected_grads = pooled_with_gradients(MultiScaleRoIAlign(NAMES, case.output_size, 2), case)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        largest = max(1.0, float(expected_grad.abs().max()))
        torch.testing.assert_close(grad, expected_grad, rtol=1e-4, atol=1e-4 * largest)


def test_box_wholly_outside_the_map_reads_zero() -> None:
    case = Case(16, 16, (((200.0, 0.0, 264.0, 64.0),),))
    pooled, grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 7), case)
    assert not pooled.any()
    assert not any(grad.any() for grad in grads)


def test_no_box_in_any_picture_gives_an_empty_tensor_that_can_go_backward() -> None:
    pooled, grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 14), Case(16, 24, ((), ())))
    assert pooled.shape == (0, CHANNELS, 14, 14)
    assert [grad.abs().sum().item() for grad in grads] == [0.0] * 4


@pytest.mark.parametrize(("height", "width", "by_matrix"), [(64, 64, True), (72, 64, False)])
def test_larger_maps_take_torchvisions_operator(
    height: int, width: int, by_matrix: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def count(*args: object) -> Tensor:
        calls.append(1)
        return roi_align_matrix(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "roi_align_matrix", count)
    case = Case(height, width, (((10.0, 20.0, 60.0, 50.0), (0.0, 0.0, 200.0, 250.0)),))
    values, grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 7), case)
    assert bool(calls) == by_matrix
    expected, expected_grads = pooled_with_gradients(MultiScaleRoIAlign(NAMES, 7, 2), case)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [16, 72])
def test_scales_do_not_come_from_the_first_batch(side: int) -> None:
    pool = MatrixRoiAlign(list(STRIDES), 7)
    case = Case(side, side, (((8.0, 8.0, 40.0, 40.0),),))
    before = pool(case.maps(), case.box_tensors(), case.image_shapes)
    # A picture far smaller than its padding: torchvision would take 1/2 for the first scale and keep it.
    wrong_shapes = [(side * 2, side * 2)]
    assert torch.equal(pool(case.maps(), case.box_tensors(), wrong_shapes), before)
    fresh = MatrixRoiAlign(list(STRIDES), 7)
    assert torch.equal(fresh(case.maps(), case.box_tensors(), wrong_shapes), before)
    assert fresh.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]
    spoiled = MultiScaleRoIAlign(NAMES, 7, 2)
    assert not torch.allclose(spoiled(case.maps(), case.box_tensors(), wrong_shapes), before)


def test_axis_weights_worked_by_hand() -> None:
    # A region from 1 to 3 in two cells of one point each: points at 1.5 and 2.5, halfway between two map cells.
    weights = axis_weights(torch.tensor([1.0]), torch.tensor([3.0]), 2, 1, 4)
    assert weights.tolist() == [[[0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.5, 0.5]]]
    # From -3 to 1: -2 lies beyond -1 and reads nothing, 0 reads the first cell.
    weights = axis_weights(torch.tensor([-3.0]), torch.tensor([1.0]), 2, 1, 4)
    assert weights.tolist() == [[[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]]
    # A region of 0.2 cells counts as one cell: the point is at 2 + 0.5, not at 2.1.
    weights = axis_weights(torch.tensor([2.0]), torch.tensor([2.2]), 1, 1, 4)
    assert weights.tolist() == [[[0.0, 0.0, 0.5, 0.5]]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_output_keeps_the_dtype_of_the_map(dtype: torch.dtype) -> None:
    feature = torch.randn(2, CHANNELS, 16, 16, generator=torch.Generator().manual_seed(0))
    boxes = [torch.tensor([[3.0, 5.0, 40.0, 30.0]]), torch.zeros((0, 4))]
    pooled = roi_align_matrix(feature.to(dtype), boxes, 7, 0.25, 2)
    assert pooled.dtype == dtype
    expected = roi_align(feature, boxes, 7, 0.25, 2)
    tolerance = 1e-4 if dtype == torch.float64 else 0.05  # bfloat16 has 8 bits
    torch.testing.assert_close(pooled.float(), expected, rtol=tolerance, atol=tolerance)
