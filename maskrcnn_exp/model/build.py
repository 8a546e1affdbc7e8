"""Build torchvision's MaskRCNN from a ModelConfig."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead

from maskrcnn_exp.model.backbone import STRIDES, build_fpn, build_stages, freeze_stages, norm_layer
from maskrcnn_exp.model.depthwise_conv import use_float32_depthwise
from maskrcnn_exp.model.frozen_norm import fold_frozen_norms
from maskrcnn_exp.model.gemm_conv import use_gemm_convolutions
from maskrcnn_exp.model.mask_predictor import GemmMaskPredictor
from maskrcnn_exp.model.network import FastMaskRCNN
from maskrcnn_exp.model.parts import Part, part_of
from maskrcnn_exp.model.roi_align import MatrixRoiAlign
from maskrcnn_exp.model.roi_heads import MaskRoiHeads
from maskrcnn_exp.model.rpn import FastRegionProposalNetwork
from maskrcnn_exp.model.sampling import BalancedSampler, SeededTransform
from maskrcnn_exp.model.timm_backbone import build_timm_fpn, freeze_timm_stages, is_timm, timm_maps
from maskrcnn_exp.model.timm_weights import load_timm_weights, normalisation_note
from maskrcnn_exp.model.weights import load_backbone_weights, load_network_weights, match_published_eps
from maskrcnn_exp.schema import BoxHeadConfig, MaskHeadConfig, ModelConfig

__all__ = ["build_maskrcnn", "hold_norms"]

_BOX_RESOLUTION = 7  # pooled cells per side, torchvision's
_RPN_POSITIVES = 0.5  # at most this share of sampled anchors, torchvision's
_RPN_SALT, _ROI_SALT = 1, 2  # keep the two samplers' draws apart


class _Float32RpnHead(RPNHead):  # type: ignore[misc]
    """RPNHead whose outputs leave mixed precision.

    torchvision decodes boxes in the dtype of the deltas; bfloat16 has 8 bits, 4 pixels at x = 1000.
    """

    def forward(self, x: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        logits, deltas = super().forward(x)
        return [level.float() for level in logits], [level.float() for level in deltas]


class _Float32Anchors(AnchorGenerator):  # type: ignore[misc]
    """AnchorGenerator whose anchors stay out of mixed precision.

    torchvision makes them in the dtype of the maps; in bfloat16 they are up to 7 pixels off at x = 1300.
    """

    def forward(self, image_list: ImageList, feature_maps: list[torch.Tensor]) -> list[torch.Tensor]:
        shapes_only = [level[:1, :1].float() for level in feature_maps]
        anchors: list[torch.Tensor] = super().forward(image_list, shapes_only)
        return anchors


def build_maskrcnn(
    model: ModelConfig, num_classes: int, detections_per_image: int, *, load_weights: bool = True, fast: bool = True
) -> tuple[MaskRCNN, list[str]]:
    """Return the network and what is worth saying about its weights, one sentence each.

    Args:
        model: The configuration; weights are read as it says.
        num_classes: Classes with the background: number of categories + 1.
        detections_per_image: Most detections kept per picture.
        load_weights: False leaves the weights as initialised, for a checkpoint that follows.
        fast: False takes torchvision's own code wherever ours only gives the same numbers sooner.

    Raises:
        ConfigError: the backbone does not exist or cannot carry a pyramid.
        CheckpointError: a weights file is absent or does not fit.
    """
    pretrained = load_weights and model.backbone_weights != "none" and model.weights == "none"
    if is_timm(model.backbone):
        backbone, strides, notes = _timm_backbone(model, pretrained)
    else:
        backbone, strides, notes = _torchvision_backbone(model, pretrained)
    network = _assemble(model, backbone, strides, num_classes, detections_per_image, fast)
    if model.weights != "none":
        match_published_eps(network, model)
        notes += load_network_weights(network, model) if load_weights else []
    return network, notes


def _torchvision_backbone(model: ModelConfig, pretrained: bool) -> tuple[BackboneWithFPN, list[int], list[str]]:
    """Return the pyramid, the strides of its levels without the pooled one, and notes."""
    stages = build_stages(model.backbone, model.backbone_norm)
    notes = load_backbone_weights(stages, model.backbone, model.backbone_weights) if pretrained else []
    backbone = build_fpn(stages, model.backbone, model.fpn_channels, model.fpn_norm)
    freeze_stages(backbone, model.trainable_stages)
    return backbone, list(STRIDES), notes


def _timm_backbone(model: ModelConfig, pretrained: bool) -> tuple[BackboneWithFPN, list[int], list[str]]:
    """Return the pyramid, the strides of its levels without the pooled one, and notes."""
    maps = timm_maps(model.backbone, model.backbone_norm)
    notes = []
    if pretrained:
        notes += load_timm_weights(maps, model.backbone, model.backbone_weights)
        notes += normalisation_note(model.backbone, model.backbone_weights, model.image_mean, model.image_std)
    freeze_timm_stages(maps, model.backbone, model.trainable_stages)
    if maps.strides != list(STRIDES):
        kept = _sizes_of(model.anchor_sizes, maps.strides)
        notes.append(f"{model.backbone} has maps of stride {maps.strides} only: anchors of {kept} pixels")
    return build_timm_fpn(maps, model.fpn_channels, model.fpn_norm), maps.strides, notes


def _sizes_of(anchor_sizes: list[int], strides: list[int]) -> list[int]:
    """Return the anchor sizes of the levels that there are; the last one is the pooled level's."""
    return [size for size, stride in zip(anchor_sizes, STRIDES, strict=False) if stride in strides] + anchor_sizes[-1:]


def _assemble(
    model: ModelConfig,
    backbone: BackboneWithFPN,
    strides: list[int],
    num_classes: int,
    detections_per_image: int,
    fast: bool,
) -> MaskRCNN:
    channels = model.fpn_channels
    sizes = _sizes_of(model.anchor_sizes, strides)
    anchors = _Float32Anchors(tuple((size,) for size in sizes), (tuple(model.anchor_ratios),) * len(sizes))
    network = MaskRCNN(
        backbone,
        image_mean=model.image_mean,
        image_std=model.image_std,
        rpn_anchor_generator=anchors,
        rpn_head=_Float32RpnHead(channels, len(model.anchor_ratios), conv_depth=model.rpn.depth),
        rpn_pre_nms_top_n_train=model.rpn.pre_nms_top_n_train,
        rpn_pre_nms_top_n_test=model.rpn.pre_nms_top_n_test,
        rpn_post_nms_top_n_train=model.rpn.post_nms_top_n_train,
        rpn_post_nms_top_n_test=model.rpn.post_nms_top_n_test,
        rpn_batch_size_per_image=model.rpn.batch_size_per_image,
        box_roi_pool=MatrixRoiAlign(strides, _BOX_RESOLUTION, fast=fast),
        box_head=_box_head(model.box_head, channels),
        box_predictor=FastRCNNPredictor(model.box_head.width, num_classes),
        box_score_thresh=model.score_threshold,
        box_detections_per_img=detections_per_image,
        box_batch_size_per_image=model.box_head.batch_size_per_image,
        box_positive_fraction=model.box_head.positive_fraction,
        mask_roi_pool=MatrixRoiAlign(strides, model.mask_head.resolution // 2, fast=fast),
        mask_head=_mask_head(model.mask_head, channels),
        mask_predictor=MaskRCNNPredictor(model.mask_head.width, model.mask_head.width, num_classes),
    )
    MaskRoiHeads.take_over(network.roi_heads, model.mask_loss.bce_weight, model.mask_loss.dice_weight, fast=fast)
    network.transform = SeededTransform(model.min_size, model.max_size, model.image_mean, model.image_std)
    network.rpn.fg_bg_sampler = BalancedSampler(model.rpn.batch_size_per_image, _RPN_POSITIVES, _RPN_SALT)
    network.roi_heads.fg_bg_sampler = BalancedSampler(
        model.box_head.batch_size_per_image, model.box_head.positive_fraction, _ROI_SALT
    )
    if fast:
        FastMaskRCNN.take_over(network)
        FastRegionProposalNetwork.take_over(network.rpn)
        GemmMaskPredictor.take_over(network.roi_heads.mask_predictor)
        use_gemm_convolutions(network)
        use_float32_depthwise(network)
        fold_frozen_norms(network)
        _keep_relu6_inputs(network)
    return network


def _keep_relu6_inputs(network: nn.Module) -> None:
    """Let ReLU6 write to a map of its own: in place, autograd copies its input first, which takes longer."""
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = False


def _box_head(head: BoxHeadConfig, channels: int) -> nn.Module:
    if head.convs == 0:
        box_head: nn.Module = TwoMLPHead(channels * _BOX_RESOLUTION**2, head.width)
        return box_head
    convs = [channels] * head.convs
    size = (channels, _BOX_RESOLUTION, _BOX_RESOLUTION)
    conv_head: nn.Module = FastRCNNConvFCHead(size, convs, [head.width] * head.fcs, norm_layer=norm_layer(head.norm))
    return conv_head


def _mask_head(head: MaskHeadConfig, channels: int) -> nn.Module:
    mask_head: nn.Module = MaskRCNNHeads(channels, [head.width] * head.depth, 1, norm_layer=norm_layer(head.norm))
    return mask_head


def hold_norms(network: nn.Module, frozen_parts: Collection[Part] = ()) -> None:
    """Keep the statistics of batch norms that do not learn; call after every `network.train()`.

    Those are the ones whose parameters are frozen, and all in `frozen_parts`.
    """
    for name, module in network.named_modules():
        if not isinstance(module, nn.modules.batchnorm._BatchNorm):
            continue
        learns = any(parameter.requires_grad for parameter in module.parameters())
        if not learns or part_of(name) in frozen_parts:
            module.eval()
