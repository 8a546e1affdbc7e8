"""Cut mask targets against torchvision's full-resolution ones."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskrcnn_exp.model import mask_targets as module
from maskrcnn_exp.model.mask_targets import cut_mask_targets, project_masks

Region = tuple[float, float, float, float]


@dataclass(frozen=True)
class Picture:
    """Masks of noise, so that every pixel counts, and the regions that read them."""

    height: int
    width: int
    objects: int
    regions: tuple[Region, ...]

    def masks(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.height * 100 + self.width)
        return torch.randint(2, (self.objects, self.height, self.width), dtype=torch.uint8, generator=generator)

    def boxes(self) -> Tensor:
        return torch.tensor(self.regions, dtype=torch.float32).reshape(-1, 4)

    def matched(self) -> Tensor:
        return torch.arange(len(self.regions)) % max(1, self.objects)


def extent(side: int) -> st.SearchStrategy[tuple[float, float]]:
    """Start and end within the picture in steps of 1/64 of a pixel, which no shift rounds; often at its rim."""

    def ends(start: int) -> st.SearchStrategy[tuple[float, float]]:
        stop = st.one_of(st.just(side * 64), st.just(start + 1), st.integers(start + 1, side * 64))
        return stop.map(lambda end: (start / 64, end / 64))

    return st.one_of(st.just(0), st.just(side * 64 - 1), st.integers(0, side * 64 - 1)).flatmap(ends)


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    objects = draw(st.integers(0, 4))
    regions = st.tuples(extent(width), extent(height)).map(lambda e: (e[0][0], e[1][0], e[0][1], e[1][1]))
    return Picture(height, width, objects, tuple(draw(st.lists(regions, max_size=4 if objects else 0))))


def targets(project: object, batch: list[Picture], resolution: int) -> Tensor:
    arguments = [p.masks() for p in batch], [p.boxes() for p in batch], [p.matched() for p in batch]
    found = project(*arguments, resolution)  # type: ignore[operator]
    assert found.dtype == torch.float32
    assert found.shape == (sum(len(p.regions) for p in batch), resolution, resolution)
    return found  # type: ignore[no-any-return]


def assert_cut_is_projected(batch: list[Picture], resolution: int = 28) -> Tensor:
    found = targets(cut_mask_targets, batch, resolution)
    torch.testing.assert_close(found, targets(project_masks, batch, resolution), rtol=0, atol=1e-4)
    return found


@settings(max_examples=100, deadline=None)
@given(batch=st.lists(pictures(), min_size=1, max_size=3), resolution=st.sampled_from([7, 28]))
@example(batch=[Picture(30, 40, 2, ((39.5, 3.0, 40.0, 3.25),)), Picture(40, 30, 1, ())], resolution=28)  # below a pixel
@example(batch=[Picture(30, 40, 4, ((10.0, 29.0, 20.0, 30.0), (0.0, 0.0, 1.0, 1.0)))], resolution=28)  # the rim
@example(batch=[Picture(9, 9, 3, ()), Picture(40, 40, 3, ((0.0, 0.0, 40.0, 40.0),))], resolution=7)
def test_targets_are_torchvisions(batch: list[Picture], resolution: int) -> None:
    assert_cut_is_projected(batch, resolution)


SMALL = [
    Picture(30, 40, 3, ((3.25, 5.5, 9.0, 12.75), (30.0, 20.0, 40.0, 30.0))),
    Picture(40, 20, 2, ((0.0, 0.0, 4.5, 4.5), (7.9375, 7.9375, 8.0, 8.0))),
]
"""Regions that are small beside their pictures, one below a pixel that reads two."""


def count_projections(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    whole = module._whole

    def count(*arguments: object) -> Tensor:
        calls.append(1)
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_whole", count)
    return calls


def test_small_regions_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_projections(monkeypatch)
    found = assert_cut_is_projected(SMALL)
    assert not calls
    assert 0 < found.mean() < 1


def test_regions_as_large_as_all_masks_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_projections(monkeypatch)
    assert_cut_is_projected([Picture(30, 40, 1, ((0.0, 0.0, 40.0, 30.0), (1.0, 2.0, 3.0, 4.0)))])
    assert calls


def test_region_read_beyond_its_picture_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a pixel at the rim: its points lie up to a pixel from its start, where torchvision reads zeros."""
    calls = count_projections(monkeypatch)
    found = assert_cut_is_projected([Picture(30, 40, 2, ((39.5, 3.0, 40.0, 9.0),)), SMALL[1]])
    assert calls
    assert not found[0, :, 14:].any()


def test_region_that_resizing_rounded_over_the_edge_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_projections(monkeypatch)
    assert_cut_is_projected([Picture(30, 40, 2, ((30.0, 20.0, 40.00001, 30.00001),))])
    assert not calls


def test_each_region_reads_its_own_object() -> None:
    masks = torch.zeros(2, 64, 64, dtype=torch.uint8)
    masks[1] = 1
    boxes, matched = torch.tensor([[4.0, 4.0, 9.0, 9.0]]).repeat(3, 1), torch.tensor([1, 0, 1])
    found = cut_mask_targets([masks], [boxes], [matched], 7)
    assert found.mean(dim=(1, 2)).tolist() == [1, 0, 1]


@pytest.mark.parametrize("objects", [0, 2])
def test_no_region_gives_no_target(objects: int) -> None:
    assert_cut_is_projected([Picture(30, 40, objects, ()), Picture(20, 20, objects, ())])
