"""torchvision's MaskRCNN with a training forward that does not wait for the device between its parts."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchvision.models.detection import MaskRCNN

__all__ = ["FastMaskRCNN"]


class FastMaskRCNN(MaskRCNN):  # type: ignore[misc]
    """MaskRCNN that does not ask, picture by picture, whether a box has no extent: `data` lets none pass."""

    @classmethod
    def take_over(cls, network: MaskRCNN) -> FastMaskRCNN:
        """Give torchvision's network this forward. The module keeps its parameters, names and buffers."""
        network.__class__ = cls
        return network  # type: ignore[no-any-return]

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        """Return the losses in training, detections else; arguments as for torchvision's."""
        if not self.training or targets is None:
            return super().forward(images, targets)
        batch, targets = self.transform(images, targets)
        features = self.backbone(batch.tensors)
        proposals, losses = self.rpn(batch, features, targets)
        _, of_heads = self.roi_heads(features, proposals, batch.image_sizes, targets)
        return {**of_heads, **losses}
