"""One picture through a trained network."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.engine.coco_ap import Detections, encode_detections

__all__ = ["Predictor"]


class Predictor:
    """Finds objects in pictures of any size, one picture at a time."""

    def __init__(self, network: MaskRCNN, fabric: Fabric) -> None:
        """Take a network with its weights, on `fabric`'s device; it is put into eval mode and stays so."""
        network.eval()
        network.transform.paste_masks = False
        self._network, self._fabric = network, fabric

    @torch.inference_mode()
    def __call__(self, image: Tensor, number: int) -> Detections:
        """Return what is found, the surest first.

        Args:
            image: uint8 [3, h, w], RGB.
            number: What the detections are to call the picture.
        """
        height, width = image.shape[-2:]
        with self._fabric.autocast():
            (found,) = self._network([image.to(self._fabric.device).float().div_(255)])
        return encode_detections(
            number, found["boxes"], found["labels"], found["scores"], found["masks"], height=height, width=width
        )
