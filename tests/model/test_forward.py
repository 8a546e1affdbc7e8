"""Losses that follow from weights, pictures and their seeds, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.model.forward import Losses, losses_and_detections, to_device, training_losses
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.model.sampling import BalancedSampler, Chosen
from tests.model.tiny import as_torchvision, choosing_everything, picture, tiny_config, tiny_network

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> MaskRCNN:
    """With frozen norms no pass leaves a trace, so the tests share it."""
    return tiny_network()


@pytest.fixture(scope="module")
def deciding_nothing() -> MaskRCNN:
    return tiny_network(choosing_everything(tiny_config()))


def train_losses(network: MaskRCNN, *samples: Sample) -> Losses:
    network.train()
    return training_losses(network, network, samples, CPU)


def numbers(losses: Losses) -> dict[str, float]:
    return {name: value.item() for name, value in losses.values.items()}


def test_pictures_become_floats_between_0_and_1_and_the_sample_stays_as_it_is() -> None:
    sample = picture(1)
    before = sample.image.clone()
    (image,), (target,) = to_device([sample], CPU)
    assert image.dtype == torch.float32
    assert torch.equal(image, sample.image.float() / 255)
    assert torch.equal(sample.image, before)
    assert list(target) == ["boxes", "labels", "masks"]


def test_losses_do_not_depend_on_the_global_generator_and_leave_it_alone(network: MaskRCNN) -> None:
    torch.manual_seed(1)
    first = train_losses(network, picture(1, seed=5), picture(2, seed=6))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = train_losses(network, picture(1, seed=5), picture(2, seed=6))
    assert torch.equal(torch.get_rng_state(), state)
    assert numbers(second) == numbers(first)  # to the bit
    assert second.counts == first.counts


def test_losses_with_several_scales_do_not_depend_on_the_global_generator() -> None:
    network = tiny_network(tiny_config(min_size=[48, 64, 80, 96]))
    found = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        found.append(numbers(train_losses(network, picture(1, seed=5), picture(2, seed=6))))
    assert found[0] == found[1]
    others = [numbers(train_losses(network, picture(1, seed=seed), picture(2, seed=6))) for seed in range(4)]
    assert len({tuple(other.values()) for other in others}) == 4


def chosen_anchors(network: MaskRCNN, samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Which anchors each picture's RPN losses are taken from."""
    draws: list[list[Tensor]] = []
    choose = BalancedSampler.choose

    def remember(self: BalancedSampler, matches: list[Tensor]) -> Chosen:
        chosen = choose(self, matches)
        places = zip(chosen.positive.split(chosen.positives), chosen.negative.split(chosen.negatives), strict=True)
        start = 0
        draws.append([])
        for (positive, negative), labels in zip(places, matches, strict=True):
            draws[-1].append(torch.cat([positive - start, start - negative]))
            start += len(labels)
        return chosen

    with monkeypatch.context() as patch:
        patch.setattr(BalancedSampler, "choose", remember)
        train_losses(network, *samples)
    anchors, _ = draws  # the RPN samples first, the heads second
    return anchors


def test_a_pictures_choice_follows_from_its_own_seed_only(network: MaskRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    one, mate = picture(1, seed=5), picture(2, seed=6)
    first = chosen_anchors(network, [one, mate], monkeypatch)
    mate_changed = chosen_anchors(network, [one, replace(mate, seed=7)], monkeypatch)
    assert torch.equal(mate_changed[0], first[0])
    assert not torch.equal(mate_changed[1], first[1])
    swapped = chosen_anchors(network, [mate, one], monkeypatch)
    assert torch.equal(swapped[1], first[0])
    assert torch.equal(swapped[0], first[1])


def test_another_seed_gives_other_losses(network: MaskRCNN) -> None:
    first, second = (train_losses(network, picture(1, seed=seed)) for seed in (5, 6))
    assert numbers(first) != numbers(second)


def test_losses_times_counts_add_up_to_the_loss_of_the_batch(deciding_nothing: MaskRCNN) -> None:
    samples = [picture(1, objects=1), picture(2, objects=4), picture(3, objects=0)]
    batch = train_losses(deciding_nothing, *samples)
    alone = [train_losses(deciding_nothing, sample) for sample in samples]
    assert batch.foreground == sum(losses.foreground for losses in alone)
    for name in LOSSES:
        count = sum(losses.counts[name] for losses in alone)
        total = sum(losses.values[name].item() * losses.counts[name] for losses in alone)
        assert batch.counts[name] == count
        assert batch.values[name].item() == pytest.approx(total / count, rel=1e-4), name


def test_counts_are_what_torchvision_divided_by(network: MaskRCNN) -> None:
    losses = train_losses(network, picture(1), picture(2))
    # 32 anchors and 24 proposals are sampled per picture.
    assert (losses.counts["loss_objectness"], losses.counts["loss_rpn_box_reg"]) == (64, 64)
    assert (losses.counts["loss_classifier"], losses.counts["loss_box_reg"]) == (48, 48)
    assert losses.counts["loss_mask"] == losses.foreground > 0
    assert int(losses.telemetry.pixels) == losses.foreground * 28 * 28


def test_evaluation_losses_are_the_training_losses_of_the_picture_alone(network: MaskRCNN) -> None:
    sample = picture(1, objects=3, seed=9)
    expected = train_losses(network, sample)
    losses, _ = losses_and_detections(network.eval(), sample, CPU)
    assert numbers(losses) == pytest.approx(numbers(expected), rel=1e-5)
    assert losses.counts == expected.counts
    assert not any(value.requires_grad for value in losses.values.values())


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 80)])
def test_evaluation_detections_are_those_of_a_plain_pass(network: MaskRCNN, height: int, width: int) -> None:
    sample = picture(1, height, width, seed=9)
    network.eval()
    network.transform.paste_masks = False
    try:
        _, found = losses_and_detections(network, sample, CPU)
        (expected,) = network(as_torchvision([sample])[0])
    finally:
        network.transform.paste_masks = True
    assert len(expected["scores"]) > 0
    for name, value in expected.items():
        torch.testing.assert_close(getattr(found, name), value, rtol=1e-5, atol=1e-5)


def test_evaluation_leaves_no_trace() -> None:
    network = tiny_network(tiny_config(backbone_norm="bn")).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    losses, _ = losses_and_detections(network, picture(1, objects=0), CPU)
    assert losses.values["loss_mask"].item() == 0
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert network.rpn.fg_bg_sampler.seeds is None


def test_heads_leave_training_mode_even_when_the_pass_fails() -> None:
    network = tiny_network().eval()
    network.roi_heads.mask_predictor = None  # the training pass gets as far as the mask branch
    with pytest.raises(TypeError):
        losses_and_detections(network, picture(1), CPU)
    assert not network.rpn.training
    assert not network.roi_heads.training
