"""torchvision's RoIHeads with the mask loss by choice and the mask head's telemetry.

Names, parameters and results are torchvision's; a test holds both against each other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import (
    RoIHeads,
    fastrcnn_loss,
    maskrcnn_inference,
)

from maskrcnn_exp.model.losses import MaskTelemetry, mask_loss, mask_telemetry
from maskrcnn_exp.model.mask_targets import cut_mask_targets, project_masks
from maskrcnn_exp.model.region_samples import select_regions
from maskrcnn_exp.model.roi_align import ROUND_REGIONS

__all__ = ["MaskRoiHeads"]


class MaskRoiHeads(RoIHeads):  # type: ignore[misc]
    """RoIHeads whose forward is written out, so that loss and telemetry have a place.

    After a training forward, `telemetry` holds the mask counts, `foreground` the number of foreground proposals, and
    `class_hits` how many of those have their own class before all other classes of objects: int64 scalar.
    """

    bce_weight: float = 1.0
    dice_weight: float = 0.0
    fast: bool = True  # cut the mask targets out of the masks; False: torchvision's full-resolution floats
    telemetry: MaskTelemetry | None = None
    foreground: int = 0
    class_hits: Tensor | None = None

    @classmethod
    def take_over(cls, heads: RoIHeads, bce_weight: float, dice_weight: float, *, fast: bool = True) -> MaskRoiHeads:
        """Give torchvision's heads this forward. The module keeps its parameters, names and buffers."""
        heads.__class__ = cls
        heads.bce_weight = bce_weight
        heads.dice_weight = dice_weight
        heads.fast = fast
        heads.telemetry = None
        heads.foreground = 0
        heads.class_hits = None
        return heads  # type: ignore[no-any-return]

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        if self.training:
            if targets is None:
                raise ValueError("targets must be given in training mode")
            return [], self._training_losses(features, proposals, image_shapes, targets)
        return self._detect(features, proposals, image_shapes), {}

    def _training_losses(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        proposals, matched, labels, regression_targets = self.select_training_samples(proposals, targets)
        features = self._shared_by_the_heads(features)
        class_logits, box_regression = self._box_branch(features, proposals, image_shapes)
        loss_classifier, loss_box_reg = fastrcnn_loss(class_logits, box_regression, labels, regression_targets)

        own_class = torch.cat(labels)
        kept = torch.where(own_class > 0)[0]
        own_class = own_class[kept]
        counts = self.fg_bg_sampler.chosen.positives
        boxes, matched = (list(torch.split(torch.cat(of)[kept], counts)) for of in (proposals, matched))
        logits = self._mask_branch(features, boxes, image_shapes)  # [k, classes, r, r]
        logits = logits[torch.arange(len(own_class), device=logits.device), own_class]  # [k, r, r]
        project = cut_mask_targets if self.fast else project_masks
        mask_targets = project([target["masks"] for target in targets], boxes, matched, logits.shape[-1])
        self.foreground = len(own_class)
        self.telemetry = mask_telemetry(logits, mask_targets)
        # Without the background's logit: a box head that is unsure whether it sees an object still tells objects apart.
        self.class_hits = (class_logits.detach()[kept, 1:].argmax(dim=1) + 1 == own_class).sum()
        return {
            "loss_classifier": loss_classifier,
            "loss_box_reg": loss_box_reg,
            "loss_mask": mask_loss(logits, mask_targets, self.bce_weight, self.dice_weight),
        }

    def select_training_samples(
        self, proposals: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """torchvision's; see `select_regions`."""
        if not self.fast:
            regions: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]
            regions = super().select_training_samples(proposals, targets)
            return regions
        return select_regions(proposals, targets, self.proposal_matcher, self.fg_bg_sampler, self.box_coder)

    def _shared_by_the_heads(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the maps as a GPU's RoIAlign reads them, float32 and channels first, turned once for both heads."""
        if not self.fast or self.box_roi_pool.by_matrices(next(iter(features.values())).device):
            return features
        names = self.box_roi_pool.featmap_names
        return {name: features[name].to(torch.float32, memory_format=torch.contiguous_format) for name in names}

    def _detect(
        self, features: dict[str, Tensor], proposals: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> list[dict[str, Tensor]]:
        features = self._shared_by_the_heads(features)
        class_logits, box_regression = self._box_branch(features, proposals, image_shapes)
        boxes, scores, labels = self.postprocess_detections(
            class_logits.float(), box_regression.float(), proposals, image_shapes
        )
        masks = self.masks_in_boxes(features, boxes, labels, image_shapes)
        return [
            {"boxes": b, "labels": k, "scores": s, "masks": m}
            for b, k, s, m in zip(boxes, labels, scores, masks, strict=True)
        ]

    def masks_in_boxes(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> list[Tensor]:
        """Return the masks of these classes in these boxes, float32 [k, 1, r, r], probabilities, of each picture."""
        logits = self._mask_branch(features, boxes, image_shapes)
        masks: list[Tensor] = maskrcnn_inference(logits.float(), labels)
        return masks

    def _box_branch(self, features: Any, boxes: list[Tensor], image_shapes: Any) -> tuple[Tensor, Tensor]:
        count = sum(len(picture) for picture in boxes)
        boxes = self._rounded(boxes, self.box_head)
        pooled = self.box_head(self.box_roi_pool(features, boxes, image_shapes))
        class_logits, box_regression = self.box_predictor(pooled)
        return class_logits[:count], box_regression[:count]

    def _mask_branch(self, features: Any, boxes: list[Tensor], image_shapes: Any) -> Tensor:
        count = sum(len(picture) for picture in boxes)
        boxes = self._rounded(boxes, self.mask_head)
        logits: Tensor = self.mask_predictor(self.mask_head(self.mask_roi_pool(features, boxes, image_shapes)))
        return logits[:count]

    def _rounded(self, boxes: list[Tensor], head: nn.Module) -> list[Tensor]:
        """Add regions of one pixel to the last picture until their number is a multiple of `ROUND_REGIONS`.

        On a CPU oneDNN compiles its kernels anew for every number of regions, milliseconds each. Not where a norm
        layer would count the added ones.
        """
        missing = -sum(len(picture) for picture in boxes) % ROUND_REGIONS
        if not self.fast or missing == 0 or boxes[-1].device.type != "cpu":
            return boxes
        if any(isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training for module in head.modules()):
            return boxes
        pixel = boxes[-1].new_tensor([[0, 0, 1, 1]]).expand(missing, -1)
        return [*boxes[:-1], torch.cat([boxes[-1], pixel])]
