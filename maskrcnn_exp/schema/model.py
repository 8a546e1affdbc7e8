"""Keys of the network."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "BoxHeadConfig",
    "LossWeightConfig",
    "MaskHeadConfig",
    "MaskLossConfig",
    "ModelConfig",
    "RpnConfig",
]


@dataclass
class RpnConfig:
    """Region proposals; torchvision's names without the `rpn_`."""

    depth: int = 1  # 3×3 convolutions before the two predictors
    pre_nms_top_n_train: int = 2000
    pre_nms_top_n_test: int = 1000
    post_nms_top_n_train: int = 2000
    post_nms_top_n_test: int = 1000
    batch_size_per_image: int = 256  # anchors sampled for the RPN losses


@dataclass
class BoxHeadConfig:
    """Box head: `convs` 3×3 convolutions, then `fcs` linear layers of `width`."""

    convs: int = 0  # 0: torchvision's two-layer head; 4: the v2 head
    fcs: int = 2  # linear layers; torchvision's head without convolutions has exactly 2
    width: int = 1024  # features of the linear layers
    norm: str = "none"  # none, bn: batch norm after each convolution
    batch_size_per_image: int = 512  # proposals sampled for the box losses
    positive_fraction: float = 0.25  # at most this share of them is foreground


@dataclass
class MaskHeadConfig:
    """Mask head: `depth` 3×3 convolutions of `width`, one ×2 up-convolution."""

    width: int = 256  # channels
    depth: int = 4  # 3×3 convolutions
    resolution: int = 28  # pixels of the predicted mask's side; even
    norm: str = "none"  # none, bn


@dataclass
class MaskLossConfig:
    """loss_mask = bce_weight · BCE + dice_weight · Dice."""

    bce_weight: float = 1.0
    dice_weight: float = 0.0


@dataclass
class LossWeightConfig:
    """Factor of each loss in the total. The losses themselves are logged without it."""

    loss_objectness: float = 1.0
    loss_rpn_box_reg: float = 1.0
    loss_classifier: float = 1.0
    loss_box_reg: float = 1.0
    loss_mask: float = 1.0


@dataclass
class ModelConfig:
    """torchvision's MaskRCNN on an FPN."""

    backbone: str = "resnet50"  # any torchvision classification network with feature maps; timm/NAME: any of timm's
    backbone_weights: str = "none"  # none, imagenet, the name of other published weights, or a file
    weights: str = "none"  # of the whole network: none, coco (resnet50_fpn, resnet50_fpn_v2), or a file
    backbone_norm: str = "bn"  # bn, frozen_bn (for pretrained weights and small batches)
    fpn_norm: str = "none"  # none, bn
    trainable_stages: int = -1  # backbone stages that learn, counted from the last; -1: all
    fpn_channels: int = 256
    min_size: list[int] = field(default_factory=lambda: [800])  # shorter side, pixels; one is drawn in training
    max_size: int = 1333  # longer side, pixels
    image_mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])  # RGB, of pictures in 0..1
    image_std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    anchor_sizes: list[int] = field(default_factory=lambda: [32, 64, 128, 256, 512])  # pixels, one per FPN level
    anchor_ratios: list[float] = field(default_factory=lambda: [0.5, 1.0, 2.0])  # height over width
    detections_per_image: int = 0  # 0: follows the data, at least 100
    score_threshold: float = 0.05  # detections below it are dropped
    rpn: RpnConfig = field(default_factory=RpnConfig)
    box_head: BoxHeadConfig = field(default_factory=BoxHeadConfig)
    mask_head: MaskHeadConfig = field(default_factory=MaskHeadConfig)
    mask_loss: MaskLossConfig = field(default_factory=MaskLossConfig)
    loss_weight: LossWeightConfig = field(default_factory=LossWeightConfig)
