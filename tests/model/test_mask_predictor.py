"""The mask predictor as matrix products against torchvision's: values, gradients, memory formats, mixed precision."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

from maskrcnn_exp.model.mask_predictor import GemmMaskPredictor
from tests.model.gradients import with_gradients

FORMATS = {True: torch.channels_last, False: torch.contiguous_format}


def pair(channels: int, width: int, classes: int, *, far: bool = False) -> tuple[MaskRCNNPredictor, MaskRCNNPredictor]:
    """Ours and torchvision's, with the same weights and biases that matter.

    With `far`, no rounding takes a channel over the ReLU's corner, where a gradient jumps.
    """
    torch.manual_seed(0)
    theirs = MaskRCNNPredictor(channels, width, classes)
    for bias in (theirs.conv5_mask.bias, theirs.mask_fcn_logits.bias):
        nn.init.normal_(bias)
    if far:
        theirs.conv5_mask.bias.data = 6 * theirs.conv5_mask.bias.data.sign()
    ours = deepcopy(theirs)
    GemmMaskPredictor.take_over(ours)
    assert type(ours) is GemmMaskPredictor
    return ours, theirs


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 6)),
    classes=st.integers(1, 4),
    channels_last=st.booleans(),
    mixed=st.booleans(),
)
def test_it_gives_torchvisions_logits_and_gradients(
    shape: tuple[int, int, int], classes: int, channels_last: bool, mixed: bool
) -> None:
    ours, theirs = pair(5, 6, classes, far=mixed)
    regions, high, wide = shape
    x = torch.randn((regions, 5, high, wide), generator=torch.Generator().manual_seed(1))
    x = x.to(memory_format=FORMATS[channels_last])
    found, expected = with_gradients(ours, x, mixed), with_gradients(theirs, x, False)
    assert found["out"].shape == (regions, classes, 2 * high, 2 * wide)
    for name, exact in expected.items():
        largest = torch.cat([exact.detach().abs().flatten(), torch.ones(1)]).max().item()
        # bfloat16 rounds to 2^-8; sums whose terms cancel keep less: a tenth of the largest value was seen.
        tolerance = (1 / 6 if mixed else 1e-4) * largest
        assert found[name].shape == exact.shape, name
        torch.testing.assert_close(
            found[name].float(), exact, rtol=0, atol=tolerance, msg=lambda t, n=name: f"{n}: {t}"
        )


def test_names_and_parameters_stay() -> None:
    ours, theirs = pair(5, 6, 3)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())


def test_another_predictor_stays_as_it_is() -> None:
    class Own(MaskRCNNPredictor):  # type: ignore[misc]
        """Somebody's own."""

    for predictor in (Own(5, 6, 3), nn.Identity()):
        kind = type(predictor)
        GemmMaskPredictor.take_over(predictor)
        assert type(predictor) is kind


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_mask_head_before_it_decides_by_its_memory_format(channels_last: bool) -> None:
    """Contiguous input is torchvision's: bit for bit."""
    ours, theirs = pair(5, 6, 3)
    x = torch.randn((2, 5, 4, 4), generator=torch.Generator().manual_seed(1)).to(memory_format=FORMATS[channels_last])
    same = torch.equal(ours(x), theirs(x))
    assert same or channels_last
