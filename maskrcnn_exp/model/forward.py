"""The two ways through the network: losses with what they were divided by, and losses with detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.model.losses import LOSS_DENOMINATOR, MaskTelemetry
from maskrcnn_exp.model.parts import LOSSES, LossName
from maskrcnn_exp.model.sampling import picture_seeds

__all__ = [
    "Losses",
    "ObjectMasks",
    "SmallMaskDetections",
    "losses_and_detections",
    "losses_detections_and_objects",
    "to_device",
    "training_losses",
]


@dataclass(frozen=True)
class Losses:
    """The five losses of some pictures.

    `counts` is what torchvision divided each loss by. loss · count adds up over pictures and processes, so that
    Σ loss·count / Σ count is the loss of all pictures as one batch.
    """

    values: dict[LossName, Tensor]  # float32 scalars
    counts: dict[LossName, int]
    telemetry: MaskTelemetry
    foreground: int  # foreground proposals over all pictures
    class_hits: Tensor  # int64 scalar, foreground proposals with their own class before all other classes of objects


@dataclass(frozen=True)
class SmallMaskDetections:
    """Detections of one picture with masks as the head gives them; k detections, r mask resolution."""

    boxes: Tensor  # float32 [k, 4], x1 y1 x2 y2 in the picture's own pixels
    labels: Tensor  # int64 [k]
    scores: Tensor  # float32 [k], falling
    masks: Tensor  # float32 [k, 1, r, r], probabilities


@dataclass(frozen=True)
class ObjectMasks:
    """The masks of one picture's n objects, as the network sees and finds them in the true boxes."""

    seen: Tensor  # uint8 [n, H, W], in the network's pixels, which the mask head's targets are cut from
    boxes: Tensor  # float32 [n, 4], x1 y1 x2 y2 in the network's pixels
    found: Tensor  # float32 [n, 1, r, r], probabilities: what the mask head gives in these boxes


def to_device(samples: Sequence[Sample], device: torch.device) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Return pictures as float32 [3, h, w] in 0..1, and targets, on `device`."""
    images = [sample.image.to(device, non_blocking=True).float().div_(255) for sample in samples]
    targets = [
        {name: value.to(device, non_blocking=True) for name, value in _tensors(sample).items()} for sample in samples
    ]
    return images, targets


def _tensors(sample: Sample) -> dict[str, Tensor]:
    target = sample.target
    return {"boxes": target["boxes"], "labels": target["labels"], "masks": target["masks"]}


def training_losses(module: Any, network: MaskRCNN, samples: Sequence[Sample], device: torch.device) -> Losses:
    """Run the training forward.

    Args:
        module: What is called: the network, or its wrapper for mixed precision and several processes.
        network: The network itself, in training mode.
        samples: At least one picture; each brings the seed of its sampling.
        device: Where the network is.
    """
    images, targets = to_device(samples, device)
    with picture_seeds(network, [sample.seed for sample in samples]):
        values = module(images, targets)
    return _losses(network, values)


def _losses(network: MaskRCNN, values: dict[str, Tensor]) -> Losses:
    counts = {
        "anchors": network.rpn.fg_bg_sampler.sampled,
        "proposals": network.roi_heads.fg_bg_sampler.sampled,
        "foreground": network.roi_heads.foreground,
    }
    return Losses(
        values={name: values[name] for name in LOSSES},
        counts={name: counts[LOSS_DENOMINATOR[name]] for name in LOSSES},
        telemetry=network.roi_heads.telemetry,
        foreground=network.roi_heads.foreground,
        class_hits=network.roi_heads.class_hits,
    )


@torch.no_grad()
def losses_and_detections(
    network: MaskRCNN, sample: Sample, device: torch.device
) -> tuple[Losses, SmallMaskDetections]:
    """Return the five losses and the detections of one picture, from one pass through backbone and pyramid.

    The losses are the training losses with norm layers frozen and sampling seeded by the picture, alone in its
    batch: they depend on the weights and the picture and on nothing else. `network` must be in eval mode.
    """
    losses, detections, _ = losses_detections_and_objects(network, sample, device, objects=False)
    return losses, detections


@torch.no_grad()
def losses_detections_and_objects(
    network: MaskRCNN, sample: Sample, device: torch.device, *, objects: bool = True
) -> tuple[Losses, SmallMaskDetections, ObjectMasks | None]:
    """Return the same, and from the same pass what the mask head gives in the true boxes, if `objects` are wanted."""
    (image,), (target,) = to_device([sample], device)
    size = (image.shape[-2], image.shape[-1])
    images, (target,) = network.transform([image], [target])
    features = network.backbone(images.tensors)
    with picture_seeds(network, [sample.seed]), _heads_training(network):
        proposals, rpn_losses = network.rpn(images, features, [target])
        _, roi_losses = network.roi_heads(features, proposals, images.image_sizes, [target])
        losses = _losses(network, {**rpn_losses, **roi_losses})
    proposals, _ = network.rpn(images, features)
    (detections,), _ = network.roi_heads(features, proposals, images.image_sizes)
    (detections,) = network.transform.postprocess([detections], images.image_sizes, [size])
    seen = None
    if objects:
        boxes, labels = target["boxes"], target["labels"]
        (found,) = network.roi_heads.masks_in_boxes(features, [boxes], [labels], images.image_sizes)
        seen = ObjectMasks(target["masks"], boxes, found)
    return losses, SmallMaskDetections(**detections), seen


class _heads_training:  # noqa: N801 - reads as a function in a with statement
    """Switch RPN and RoI heads to their training logic without touching the layers inside them."""

    def __init__(self, network: MaskRCNN) -> None:
        self._modules = (network.rpn, network.roi_heads)

    def __enter__(self) -> None:
        for module in self._modules:
            module.training = True

    def __exit__(self, *_: object) -> None:
        for module in self._modules:
            module.training = False
