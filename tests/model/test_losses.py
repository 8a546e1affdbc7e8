"""The mask loss and its telemetry, worked by hand and against torchvision's."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch
from torchvision.models.detection.roi_heads import maskrcnn_loss, project_masks_on_boxes

from maskrcnn_exp.model.losses import LOSS_DENOMINATOR, dice_loss, mask_loss, mask_telemetry
from maskrcnn_exp.model.parts import LOSSES

SURE = 100.0  # sigmoid(±100) is 1 or 0 in float32


def test_dice_worked_by_hand() -> None:
    logits = torch.tensor([[[SURE, SURE], [-SURE, -SURE]], [[0.0, 0.0], [0.0, 0.0]]])
    targets = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    # First mask:  Σ p t = 1, Σ p = 2, Σ t = 2:       1 - (2 · 1 + 1) / (2 + 2 + 1) = 0.4
    # Second mask: p = 0.5: Σ p t = 2, Σ p = 2, Σ t = 4:  1 - (2 · 2 + 1) / (2 + 4 + 1) = 2 / 7
    assert dice_loss(logits, targets).item() == pytest.approx((0.4 + 2 / 7) / 2)


@pytest.mark.parametrize(("filled", "expected"), [(1.0, 0.0), (0.0, 0.0)])
def test_dice_of_a_perfect_mask_is_zero_even_when_it_is_empty(filled: float, expected: float) -> None:
    targets = torch.full((1, 4, 4), filled)
    assert dice_loss((targets * 2 - 1) * SURE, targets).item() == pytest.approx(expected, abs=1e-6)


def test_dice_without_overlap_is_nearly_one() -> None:
    targets = torch.zeros((1, 10, 10))
    targets[:, :5] = 1
    # Σ p t = 0, Σ p = Σ t = 50: 1 - 1 / 101
    assert dice_loss((1 - 2 * targets) * SURE, targets).item() == pytest.approx(1 - 1 / 101)


def test_weights_one_and_zero_give_torchvisions_mask_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = [torch.tensor([[1.0, 2.0, 9.5, 11.0], [0.0, 0.0, 16.0, 16.0]]), torch.tensor([[3.0, 3.0, 8.0, 6.0]])]
    matched = [torch.tensor([1, 0]), torch.tensor([0])]
    labels = [torch.tensor([1, 2]), torch.tensor([2])]
    masks = [(torch.rand((count, 16, 16), generator=generator) > 0.5).byte() for count in (2, 1)]
    logits = torch.randn((3, 3, 28, 28), generator=generator, requires_grad=True)
    expected = maskrcnn_loss(logits, boxes, masks, labels, matched)
    (expected_grad,) = torch.autograd.grad(expected, logits)

    own_class = torch.tensor([2, 1, 2])  # labels[matched], picture by picture
    targets = torch.cat([project_masks_on_boxes(*of_one, 28) for of_one in zip(masks, boxes, matched, strict=True)])
    loss = mask_loss(logits[torch.arange(3), own_class], targets, 1.0, 0.0)
    assert torch.equal(loss, expected)
    (grad,) = torch.autograd.grad(loss, logits)
    assert torch.equal(grad, expected_grad)


def test_loss_is_the_weighted_sum_of_bce_and_dice() -> None:
    logits, targets = torch.zeros((2, 4, 4)), torch.ones((2, 4, 4))
    # BCE at p = 0.5 is ln 2. Dice: Σ p t = Σ p = 8, Σ t = 16: 1 - 17 / 25 = 0.32
    assert mask_loss(logits, targets, 1.0, 0.0).item() == pytest.approx(math.log(2))
    assert mask_loss(logits, targets, 0.0, 1.0).item() == pytest.approx(0.32)
    assert mask_loss(logits, targets, 2.0, 3.0).item() == pytest.approx(2 * math.log(2) + 3 * 0.32)


def test_dice_learns_from_a_mask_that_is_all_wrong() -> None:
    logits = torch.zeros((1, 4, 4), requires_grad=True)
    mask_loss(logits, torch.ones((1, 4, 4)), 0.0, 1.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad < 0).all()  # a higher logit lowers the loss, everywhere


@pytest.mark.parametrize("dice_weight", [0.0, 1.0])
def test_no_foreground_gives_zero_with_a_gradient_path(dice_weight: float) -> None:
    logits = torch.zeros((0, 28, 28), requires_grad=True)
    loss = mask_loss(logits * 2, torch.zeros((0, 28, 28)), 1.0, dice_weight)
    assert loss.item() == 0
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.shape == (0, 28, 28)


def test_loss_leaves_mixed_precision() -> None:
    loss = mask_loss(torch.zeros((1, 4, 4), dtype=torch.bfloat16), torch.ones((1, 4, 4)), 1.0, 1.0)
    assert loss.dtype == torch.float32


def test_telemetry_worked_by_hand() -> None:
    logits = torch.tensor([[[1.0, 1.0, -1.0], [-1.0, 0.0, 2.0]]], requires_grad=True)
    targets = torch.tensor([[[1.0, 0.4, 0.6], [0.0, 0.5, 0.0]]])
    # predicted  1 1 0 / 0 0 1   (a logit of 0 is not above the threshold)
    # truth      1 0 1 / 0 0 0   (nor is a target of 0.5)
    counts = mask_telemetry(logits, targets)
    numbers = {name: int(value) for name, value in asdict(counts).items()}
    assert numbers == {"pixels": 6, "wrong": 3, "positives": 2, "false_positives": 2, "false_negatives": 1}
    assert not any(value.requires_grad for value in asdict(counts).values())


def test_telemetry_of_no_foreground_is_zero() -> None:
    counts = mask_telemetry(torch.zeros((0, 28, 28)), torch.zeros((0, 28, 28)))
    assert [int(value) for value in asdict(counts).values()] == [0] * 5


def test_every_loss_has_a_denominator() -> None:
    assert list(LOSS_DENOMINATOR) == list(LOSSES)
