"""torchvision's mask predictor as two matrix products on a CPU.

Its transposed convolution makes a 2 × 2 patch of each cell without overlap, and what follows, ReLU and a 1 × 1
convolution, looks at each output cell alone. So the patches are put in their places last, as a few logits instead of
as all channels; and oneDNN has no fast gradient of a transposed convolution's bias.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

__all__ = ["GemmMaskPredictor"]


class GemmMaskPredictor(MaskRCNNPredictor):  # type: ignore[misc]
    """MaskRCNNPredictor with another forward, where its input is channels-last on a CPU."""

    @classmethod
    def take_over(cls, predictor: nn.Module) -> None:
        """Give torchvision's predictor this forward; it keeps its parameters and names. Another one stays as it is."""
        if type(predictor) is MaskRCNNPredictor:
            predictor.__class__ = cls

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [k, classes, 2 · r, 2 · r] of features [k, channels, r, r]."""
        if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
            logits: Tensor = super().forward(x)
            return logits
        up, last = self.conv5_mask, self.mask_fcn_logits
        k, _, high, wide = x.shape
        weight = up.weight.permute(2, 3, 1, 0).flatten(0, 2)  # [2 · 2 · width, channels]
        patches = F.relu_(F.linear(x.permute(0, 2, 3, 1), weight, up.bias.repeat(4)))  # [k, r, r, 2 · 2 · width]
        cells = patches.view(k, high, wide, 2, 2, up.out_channels)
        classes = F.linear(cells, last.weight.flatten(1), last.bias)  # [k, r, r, 2, 2, classes]
        rows = classes.permute(0, 1, 3, 2, 4, 5).reshape(k, 2 * high, 2 * wide, last.out_channels)
        return rows.permute(0, 3, 1, 2)
