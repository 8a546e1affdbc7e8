"""The matrix form against torchvision's operator: values, gradients, odd boxes, and when each is used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign, roi_align

from maskrcnn_exp.model import roi_align as module
from maskrcnn_exp.model.backbone import STRIDES
from maskrcnn_exp.model.roi_align import MatrixRoiAlign, axis_weights, roi_align_matrix
from tests.model.roi_cases import CHANNELS, NAMES, Case, cases, pooled_with_gradients


@contextmanager
def setting(**values: int) -> Iterator[None]:
    """Other sizes of tiles, windows and groups."""
    with ExitStack() as stack:
        for name, value in values.items():
            stack.enter_context(patch.object(module, name, value))
        yield


SMALL_TILES = {"_WHOLE": 0, "_TILE": 4, "_ROUND_CELLS": 3, "ROUND_REGIONS": 2}
"""Every map goes by tiles, and small maps have many."""


def assert_gives_torchvisions(case: Case) -> None:
    values, grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), case.output_size), case)
    expected, expected_grads = pooled_with_gradients(MultiScaleRoIAlign(NAMES, case.output_size, 2), case)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        largest = max(1.0, float(expected_grad.abs().max()))
        torch.testing.assert_close(grad, expected_grad, rtol=1e-4, atol=1e-4 * largest)


@settings(max_examples=40, deadline=None)
@given(case=cases())
@example(case=Case(56, 16, ((), ((3.0, 4.0, 30.0, 200.0),), ()), 14))
@example(case=Case(16, 56, (((-80.0, -80.0, -20.0, -20.0), (300.0, 90.0, 400.0, 120.0)),)))  # nothing to read
@example(case=Case(32, 32, (((-4.0, -4.0, 2.0, 2.0), (125.9, 125.9, 126.1, 126.1)),)))  # the rim, and a fifth of a px
@example(case=Case(56, 56, (((0.0, 0.0, 224.0, 224.0), (0.0, 0.0, 8.0, 8.0), (0.0, 0.0, 112.0, 112.0)),)))  # levels mix
def test_matrix_form_gives_torchvisions_values_and_gradients(case: Case) -> None:
    assert_gives_torchvisions(case)


def test_box_wholly_outside_the_map_reads_zero() -> None:
    case = Case(16, 16, (((200.0, 0.0, 264.0, 64.0),),))
    pooled, grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 7), case)
    assert not pooled.any()
    assert not any(grad.any() for grad in grads)


def test_no_box_in_any_picture_gives_an_empty_tensor_that_can_go_backward() -> None:
    pooled, grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 14), Case(16, 24, ((), ())))
    assert pooled.shape == (0, CHANNELS, 14, 14)
    assert [grad.abs().sum().item() for grad in grads] == [0.0] * 4


@settings(max_examples=40, deadline=None)
@given(case=cases(), tile=st.sampled_from([2, 4, 32]), cells=st.sampled_from([1, 3, 16]))
@example(case=Case(56, 16, ((), ((3.0, 4.0, 30.0, 200.0),), ()), 14), tile=4, cells=1)
@example(case=Case(16, 56, (((-80.0, -80.0, -20.0, -20.0), (300.0, 90.0, 400.0, 120.0)),)), tile=4, cells=1)
@example(case=Case(32, 32, (((-4.0, -4.0, 2.0, 2.0), (125.9, 125.9, 126.1, 126.1)),)), tile=4, cells=1)
@example(case=Case(16, 16, (((60.0, 60.0, 64.0, 64.0), (63.9, 63.9, 68.0, 90.0)),)), tile=4, cells=1)  # the last cell
def test_tiles_give_torchvisions_values_and_gradients(case: Case, tile: int, cells: int) -> None:
    with setting(_WHOLE=0, _TILE=tile, _ROUND_CELLS=cells, ROUND_REGIONS=2):
        assert_gives_torchvisions(case)


@settings(max_examples=20, deadline=None)
@given(case=cases(), together=st.sampled_from([1, 20_000]))
def test_pictures_multiplied_one_by_one_or_together_give_torchvisions_values(case: Case, together: int) -> None:
    with setting(_PRODUCT=together):
        assert_gives_torchvisions(case)


def test_a_large_map_goes_by_tiles_and_gives_torchvisions_values_and_gradients() -> None:
    """A picture of 800 × 1344 pixels: its first map has 67,200 cells, more than are multiplied as a whole."""
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(2, 60, 2, generator=generator) * torch.tensor([1344.0, 800.0]) - 20
    sides = torch.rand(2, 60, 2, generator=generator) ** 4 * 900
    boxes = torch.cat([corners, corners + sides], dim=2)
    case = Case(200, 336, tuple(tuple(map(tuple, picture)) for picture in boxes.tolist()))
    assert_gives_torchvisions(case)
    with setting(_WHOLE=10**9):
        whole, _ = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 7), case)
    tiled, _ = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 7), case)
    torch.testing.assert_close(tiled, whole, rtol=1e-5, atol=1e-5)


def windows(height: int, width: int, boxes: list[Tensor]) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of what each group of regions is multiplied with."""
    counts = [len(picture) for picture in boxes]
    groups = module._groups(torch.cat(boxes), counts, 7, torch.Size((len(boxes), CHANNELS, height, width)))
    return [(group.top, group.bottom, group.left, group.right) for group in groups]


def test_only_a_large_map_is_cut() -> None:
    boxes = [torch.tensor([[3.0, 5.0, 9.0, 12.0], [40.0, 70.0, 60.0, 75.0], [80.0, 90.0, 85.0, 95.0]])]  # in map cells
    assert windows(64, 128, boxes) == [(0, 64, 0, 128)]  # 8192 cells
    assert windows(96, 86, boxes) == [  # 8256 cells
        (5, 21, 3, 19),  # rows 5 … 13 and columns 3 … 10, both rounded up to 16
        (70, 86, 40, 72),  # rows 70 … 76 → 16, columns 40 … 61 → 32
        (80, 96, 70, 86),  # rounded up within the map
    ]


MAPS = Case(48, 40, (((3.0, 5.0, 40.0, 30.0), (20.0, 40.0, 150.0, 180.0)), (), ((0.0, 0.0, 9.0, 9.0),)))


@pytest.mark.parametrize("tiled", [False, True])
def test_rounding_up_the_number_of_regions_leaks_into_nothing(tiled: bool) -> None:
    sizes = {**SMALL_TILES, "_TILE": 16} if tiled else {}
    found = []
    for regions in (1, 2, 7, 64):
        with setting(**{**sizes, "ROUND_REGIONS": regions}):
            found.append(pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 7), MAPS))
    for pooled, grads in found[1:]:
        assert pooled.shape == (3, CHANNELS, 7, 7)
        torch.testing.assert_close(pooled, found[0][0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(grads, found[0][1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tiled", [False, True])
def test_bfloat16_gives_the_values_and_gradients_of_float_to_its_precision(tiled: bool) -> None:
    case = Case(48, 40, (((3.0, 5.0, 40.0, 30.0), (20.0, 40.0, 150.0, 180.0)), ((-9.0, 0.0, 9.0, 9.0),)), 14)
    expected, expected_grads = pooled_with_gradients(MultiScaleRoIAlign(NAMES, 14, 2), case)
    with setting(**(SMALL_TILES if tiled else {})):
        values, grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 14), case, torch.bfloat16)
    assert values.dtype == torch.bfloat16
    assert {grad.dtype for grad in grads} == {torch.float32}  # of the maps before they were rounded
    for found, exact in zip([values, *grads], [expected, *expected_grads], strict=True):
        error = (found.float() - exact).norm() / exact.norm().clamp(min=1e-6)
        assert error.item() < 0.01  # bfloat16 has 8 bits, and there are three roundings


@pytest.mark.parametrize("tiled", [False, True])
def test_mixed_precision_leaves_a_float_map_float(tiled: bool) -> None:
    expected, expected_grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 7), MAPS)
    mixed = torch.autocast("cpu", torch.bfloat16)(MatrixRoiAlign(list(STRIDES), 7).forward)
    with setting(**(SMALL_TILES if tiled else {})):
        values, grads = pooled_with_gradients(mixed, MAPS)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-5, atol=1e-5)


ODD = (math.nan, math.inf, -math.inf, 3e38, -3e38, 0.0)


@settings(max_examples=60, deadline=None)
@given(box=st.tuples(*[st.sampled_from(ODD)] * 4), tiled=st.booleans(), place=st.integers(0, 2))
def test_box_that_is_not_finite_disturbs_no_other_and_crashes_nothing(
    box: tuple[float, float, float, float], tiled: bool, place: int
) -> None:
    sound = MAPS.boxes[0]
    boxes = [torch.tensor([*sound[:place], box, *sound[place:]]), torch.zeros((0, 4)), torch.tensor(MAPS.boxes[2])]
    pool = MatrixRoiAlign(list(STRIDES), 7)
    with setting(**(SMALL_TILES if tiled else {})), torch.no_grad():
        pooled = pool(MAPS.maps(), boxes, MAPS.image_shapes)
        expected = pool(MAPS.maps(), MAPS.box_tensors(), MAPS.image_shapes)
    others = [index for index in range(4) if index != place]
    assert len(pooled) == 4
    torch.testing.assert_close(pooled[others], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fast", [False, True])
def test_without_fast_torchvisions_operator_pools(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def count(*args: object) -> Tensor:
        calls.append(1)
        return roi_align_matrix(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "roi_align_matrix", count)
    values, grads = pooled_with_gradients(MatrixRoiAlign(list(STRIDES), 7, fast=fast), MAPS)
    assert bool(calls) == fast
    expected, expected_grads = pooled_with_gradients(MultiScaleRoIAlign(NAMES, 7, 2), MAPS)
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-4, atol=1e-4)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MatrixRoiAlign, "by_matrices", lambda *_: False)


@pytest.mark.usefixtures("as_on_a_gpu")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_the_operator_with_regions_ordered_by_level_gives_torchvisions_values_and_gradients(case: Case) -> None:
    assert_gives_torchvisions(case)


def test_matrices_are_for_a_cpu_and_where_the_same_weights_are_wanted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    fast, plain = (MatrixRoiAlign(list(STRIDES), 7, fast=fast) for fast in (True, False))
    for deterministic in (False, True):
        monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda wanted=deterministic: wanted)
        assert fast.by_matrices(torch.device("cpu"))
        assert fast.by_matrices(torch.device("cuda")) == deterministic
        assert not plain.by_matrices(torch.device("cuda"))


@pytest.mark.parametrize("fast", [False, True])
def test_scales_do_not_come_from_the_first_batch(fast: bool) -> None:
    side = 16
    pool = MatrixRoiAlign(list(STRIDES), 7, fast=fast)
    case = Case(side, side, (((8.0, 8.0, 40.0, 40.0),),))
    before = pool(case.maps(), case.box_tensors(), case.image_shapes)
    # A picture far smaller than its padding: torchvision would take 1/2 for the first scale and keep it.
    wrong_shapes = [(side * 2, side * 2)]
    assert torch.equal(pool(case.maps(), case.box_tensors(), wrong_shapes), before)
    fresh = MatrixRoiAlign(list(STRIDES), 7, fast=fast)
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
