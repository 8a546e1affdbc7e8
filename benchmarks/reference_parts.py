"""What the reference loop is made of: torchvision's own network, one optimiser, the same pictures as ours.

Nothing of `maskrcnn_exp.model` stands in this network, so that a change there cannot make the reference faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from maskrcnn_exp.data.build import build_augment
from maskrcnn_exp.data.loader import EpochPlan, sample_seed
from maskrcnn_exp.data.target import InstanceDataset, Sample
from maskrcnn_exp.model.parts import PARTS
from maskrcnn_exp.schema import AdamWConfig, AugmentConfig, ModelConfig, SgdConfig, TrainConfig

__all__ = ["Pictures", "build_model", "build_optimizer", "collate", "refusals", "to_torchvision", "train_loader"]

Example = tuple[Tensor, dict[str, Any]]

_NORMS: Final = {"bn": nn.BatchNorm2d, "frozen_bn": FrozenBatchNorm2d, "none": None}
_MOBILENET_TAPS: Final = {"3": 24, "6": 32, "13": 96, "18": 1280}
"""The last layer of each stride of MobileNetV2, with its channels."""


def refusals(config: TrainConfig) -> list[str]:
    """Return what the configuration asks for and torchvision's reference does not have."""
    trainer, model = config.trainer, config.model
    asked = {
        "trainer.devices": trainer.devices == 1,
        "trainer.accumulate_steps": trainer.accumulate_steps == 1,
        "trainer.ema_decay": trainer.ema_decay == 0,
        "model.weights": model.weights == "none",
        "model.mask_loss": (model.mask_loss.bce_weight, model.mask_loss.dice_weight) == (1.0, 0.0),
        "model.loss_weight": set(vars(model.loss_weight).values()) == {1.0},
        "clip=per_part": not hasattr(config.clip, "mask"),
        **{f"lr.{part}_mult": getattr(config.lr, f"{part}_mult") == 1.0 for part in PARTS},
    }
    return [key for key, known in asked.items() if not known]


def build_model(model: ModelConfig, num_classes: int, detections_per_image: int) -> MaskRCNN:
    """Return torchvision's MaskRCNN with the names and shapes of ours, freshly initialised.

    Raises:
        SystemExit: a backbone other than a ResNet or MobileNetV2.
    """
    channels, head, resolution = model.fpn_channels, model.mask_head, model.mask_head.resolution // 2
    levels = ["0", "1", "2", "3"]
    return MaskRCNN(
        _backbone(model),
        min_size=tuple(model.min_size),
        max_size=model.max_size,
        image_mean=model.image_mean,
        image_std=model.image_std,
        rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in model.anchor_sizes), (tuple(model.anchor_ratios),) * len(model.anchor_sizes)
        ),
        rpn_head=RPNHead(channels, len(model.anchor_ratios), conv_depth=model.rpn.depth),
        rpn_pre_nms_top_n_train=model.rpn.pre_nms_top_n_train,
        rpn_pre_nms_top_n_test=model.rpn.pre_nms_top_n_test,
        rpn_post_nms_top_n_train=model.rpn.post_nms_top_n_train,
        rpn_post_nms_top_n_test=model.rpn.post_nms_top_n_test,
        rpn_batch_size_per_image=model.rpn.batch_size_per_image,
        box_roi_pool=MultiScaleRoIAlign(levels, output_size=7, sampling_ratio=2),
        box_head=_box_head(model),
        box_predictor=FastRCNNPredictor(model.box_head.width, num_classes),
        box_score_thresh=model.score_threshold,
        box_detections_per_img=detections_per_image,
        box_batch_size_per_image=model.box_head.batch_size_per_image,
        box_positive_fraction=model.box_head.positive_fraction,
        mask_roi_pool=MultiScaleRoIAlign(levels, output_size=resolution, sampling_ratio=2),
        mask_head=MaskRCNNHeads(channels, [head.width] * head.depth, 1, norm_layer=_NORMS[head.norm]),
        mask_predictor=MaskRCNNPredictor(head.width, head.width, num_classes),
    )


def _backbone(model: ModelConfig) -> BackboneWithFPN:
    norm = {"norm_layer": _NORMS[model.backbone_norm]}
    fpn: dict[str, Any] = {"out_channels": model.fpn_channels, "norm_layer": _NORMS[model.fpn_norm]}
    if model.backbone == "mobilenet_v2":
        features = torchvision.models.mobilenet_v2(weights=None, **norm).features
        layers = {tap: str(level) for level, tap in enumerate(_MOBILENET_TAPS)}
        return BackboneWithFPN(features, layers, list(_MOBILENET_TAPS.values()), **fpn)
    if not model.backbone.startswith(("resnet", "resnext", "wide_resnet")):
        raise SystemExit(f"model.backbone={model.backbone}: the reference knows ResNets and mobilenet_v2.")
    network = torchvision.models.get_model(model.backbone, weights=None, **norm)
    layers = {f"layer{level + 1}": str(level) for level in range(4)}
    return BackboneWithFPN(network, layers, [network.inplanes >> shift for shift in (3, 2, 1, 0)], **fpn)


def _box_head(model: ModelConfig) -> nn.Module:
    channels, head = model.fpn_channels, model.box_head
    box_head: nn.Module = TwoMLPHead(channels * 49, head.width)
    if head.convs:
        norm = _NORMS[head.norm]
        box_head = FastRCNNConvFCHead((channels, 7, 7), [channels] * head.convs, [head.width] * head.fcs, norm)
    return box_head


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return torch's SGD or AdamW as its users call it; norm layers and biases get no weight decay, as ours."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.optimizer.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = config.optimizer
    lr = optimizer.default_lr if config.lr.base is None else config.lr.base
    if isinstance(optimizer, SgdConfig):
        return torch.optim.SGD(groups, lr=lr, momentum=optimizer.momentum, nesterov=optimizer.nesterov)
    if isinstance(optimizer, AdamWConfig):
        return torch.optim.AdamW(groups, lr=lr, betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.eps)
    raise TypeError(type(optimizer).__name__)


class Pictures(Dataset[Example]):
    """Our pictures with our augmentation as torchvision's reference takes them; set `epoch` before each epoch."""

    def __init__(self, dataset: InstanceDataset, *, seed: int = 0, augment: AugmentConfig | None = None) -> None:
        self._dataset = dataset
        self._seed = seed
        self._augment = None if augment is None else build_augment(augment)
        self.epoch = 0

    def __getitem__(self, index: int) -> Example:
        sample = replace(self._dataset.load(index), seed=sample_seed(self._seed, self.epoch, index))
        return to_torchvision(sample if self._augment is None else self._augment(sample))

    def __len__(self) -> int:
        return len(self._dataset)


def to_torchvision(sample: Sample) -> Example:
    """Return a picture, float32 [3, h, w] in 0..1, and its target with full-size masks, uint8 [n, h, w]."""
    target, boxes = sample.target, sample.target["boxes"]
    return sample.image.float() / 255, {
        "boxes": boxes,
        "labels": target["labels"],
        "masks": target["masks"],
        "image_id": sample.index,
        "area": (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
        "iscrowd": torch.zeros(len(boxes), dtype=torch.int64),
    }


def collate(batch: list[Any]) -> tuple[Any, ...]:
    return tuple(zip(*batch, strict=True))


class _PlannedBatches:
    """The order of an epoch, the same as ours."""

    def __init__(self, plan: EpochPlan, pictures: Pictures) -> None:
        self._plan, self._pictures = plan, pictures

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._plan.order(self._pictures.epoch))

    def __len__(self) -> int:
        return self._plan.batches


def train_loader(pictures: Pictures, plan: EpochPlan, workers: int) -> DataLoader[Example]:
    """Return the one loader of the training; its workers start anew each epoch, as theirs do."""
    return DataLoader(pictures, batch_sampler=_PlannedBatches(plan, pictures), num_workers=workers, collate_fn=collate)
