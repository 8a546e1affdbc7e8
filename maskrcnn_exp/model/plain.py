"""torchvision's own network for a checkpoint of ours, and the description from which others build it again.

Ours has torchvision's names and weights and other code for training; what leaves the house is torchvision's code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign

from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.schema import ModelConfig

__all__ = ["describe", "plain_maskrcnn"]


def plain_maskrcnn(
    model: ModelConfig, num_classes: int, detections_per_image: int, weights: Mapping[str, Tensor]
) -> MaskRCNN:
    """Return torchvision's MaskRCNN without any code of ours around the backbone, in eval mode.

    Args:
        model: The checkpoint's configuration.
        num_classes: With the background.
        detections_per_image: Most detections kept per picture.
        weights: The state dict of our network; it fits key by key.
    """
    network, _ = build_maskrcnn(model, num_classes, detections_per_image, load_weights=False, fast=False)
    heads = network.roi_heads
    heads.__class__ = RoIHeads
    network.rpn.head.__class__ = RPNHead
    network.rpn.anchor_generator.__class__ = AnchorGenerator
    heads.box_roi_pool.__class__ = MultiScaleRoIAlign
    heads.mask_roi_pool.__class__ = MultiScaleRoIAlign
    network.transform = GeneralizedRCNNTransform(model.min_size, model.max_size, model.image_mean, model.image_std)
    network.load_state_dict(weights, strict=True)
    return network.eval()


def describe(
    network: MaskRCNN, model: ModelConfig, categories: Sequence[Sequence[Any]], detections_per_image: int
) -> dict[str, Any]:
    """Return what `load_torchvision.build` takes: plain values, all that the weights do not say.

    Args:
        network: As `plain_maskrcnn` returns it, with a backbone of torchvision.
        model: Its configuration.
        categories: [id, name], in the order of the labels.
        detections_per_image: Most detections kept per picture.
    """
    box, mask = model.box_head, model.mask_head
    return {
        "classes": ["__background__", *(str(name) for _, name in categories)],
        "category_ids": [None, *(key for key, _ in categories)],
        "backbone": _describe_backbone(network, model),
        "anchors": {"sizes": list(model.anchor_sizes), "ratios": list(model.anchor_ratios)},
        "rpn_depth": model.rpn.depth,
        "box_head": {"convs": box.convs, "fcs": box.fcs, "width": box.width, "norm": box.norm},
        "mask_head": {"depth": mask.depth, "width": mask.width, "norm": mask.norm, "pooled": mask.resolution // 2},
        "arguments": _arguments(model, detections_per_image),
    }


def _arguments(model: ModelConfig, detections_per_image: int) -> dict[str, Any]:
    """Return what MaskRCNN takes as it is."""
    return {
        "min_size": list(model.min_size),
        "max_size": model.max_size,
        "image_mean": list(model.image_mean),
        "image_std": list(model.image_std),
        "rpn_pre_nms_top_n_train": model.rpn.pre_nms_top_n_train,
        "rpn_pre_nms_top_n_test": model.rpn.pre_nms_top_n_test,
        "rpn_post_nms_top_n_train": model.rpn.post_nms_top_n_train,
        "rpn_post_nms_top_n_test": model.rpn.post_nms_top_n_test,
        "rpn_batch_size_per_image": model.rpn.batch_size_per_image,
        "box_score_thresh": model.score_threshold,
        "box_detections_per_img": detections_per_image,
        "box_batch_size_per_image": model.box_head.batch_size_per_image,
        "box_positive_fraction": model.box_head.positive_fraction,
    }


def _describe_backbone(network: MaskRCNN, model: ModelConfig) -> dict[str, Any]:
    body = network.backbone.body
    eps = {module.eps for module in network.modules() if isinstance(module, FrozenBatchNorm2d)}
    return {
        "name": model.backbone,
        "norm": model.backbone_norm,
        "frozen_norm_eps": 0.0 if eps == {0.0} else None,  # torchvision's COCO weights; else the network's own
        "return_layers": dict(body.return_layers),
        "in_channels": [block[0].in_channels for block in network.backbone.fpn.inner_blocks],
        "fpn_channels": model.fpn_channels,
        "fpn_norm": model.fpn_norm,
        "channels_last": type(body) is not IntermediateLayerGetter,
    }
