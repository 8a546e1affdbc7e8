"""A second look at suspect pictures: which of their annotations it is, and a picture of both opinions.

Shape letters: n objects of one picture, h × w its pixels, r the side of the mask head's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from PIL import Image, ImageDraw
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.data.drawing import edge, fitted, latin
from maskrcnn_exp.data.rle import mask_of_counts
from maskrcnn_exp.data.target import InstanceDataset, Sample
from maskrcnn_exp.engine.coco_ap import encode_detections
from maskrcnn_exp.engine.corrections import see_through_grid
from maskrcnn_exp.engine.suspects import Suspect
from maskrcnn_exp.model.forward import ObjectMasks, losses_detections_and_objects

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from numpy.typing import NDArray

__all__ = ["SEEN_MOST", "SeenSuspect", "contact_sheet", "look_again", "object_ious"]

SEEN_MOST: Final = 20
"""Pictures that are read once more. A set with more suspects has another problem than single annotations."""

_SIDE: Final = 240  # pixels of a tile
_CAPTION: Final = 16
_COLUMNS: Final = 4
_TILES: Final = 8
_ANNOTATED: Final = (0, 220, 0)
_FOUND: Final = (255, 40, 40)


@dataclass(frozen=True, eq=False)
class SeenSuspect:
    """A suspect picture, object by object."""

    suspect: Suspect
    annotation_ids: list[int | str]  # n
    mask_ious: list[float]  # n, between the annotation and what the mask head gives in its box
    drawn: NDArray[np.uint8]  # [h, w, 3], RGB: annotated outlines green, found ones red


def look_again(
    network: MaskRCNN, dataset: InstanceDataset, suspects: Sequence[Suspect], fabric: Fabric
) -> list[SeenSuspect]:
    """Read the worst SEEN_MOST suspects once more, and ask the mask head for each of their objects."""
    was_training, pasted = network.training, network.transform.paste_masks
    network.eval()
    network.transform.paste_masks = False
    try:
        with fabric.autocast():
            return [_seen(network, dataset, suspect, fabric.device) for suspect in suspects[:SEEN_MOST]]
    finally:
        network.train(was_training)
        network.transform.paste_masks = pasted


def _seen(network: MaskRCNN, dataset: InstanceDataset, suspect: Suspect, device: torch.device) -> SeenSuspect:
    index = suspect.picture.index
    sample = dataset.load(index)
    _, _, objects = losses_detections_and_objects(network, sample, device)
    if objects is None:
        raise AssertionError("objects were asked for")
    ids = dataset.annotation_ids(index)
    return SeenSuspect(suspect, ids, object_ious(objects), _draw(sample, objects))


def object_ious(objects: ObjectMasks) -> list[float]:
    """Return the IoU of each object's annotation and what the mask head gives in its box, on the head's r × r, n."""
    annotated = see_through_grid(objects, objects.found.shape[-1]).to(objects.found.device) > 0.5
    found = objects.found > 0.5
    union = (annotated | found).flatten(1).sum(dim=1)
    both = (annotated & found).flatten(1).sum(dim=1)
    ious: list[float] = (both / union.clamp(min=1)).tolist()
    return ious


def _draw(sample: Sample, objects: ObjectMasks) -> NDArray[np.uint8]:
    height, width = sample.image.shape[-2:]
    target = sample.target
    found = encode_detections(
        sample.index, target["boxes"], target["labels"], torch.ones(len(target["labels"])), objects.found, height, width
    )
    picture: NDArray[np.uint8] = sample.image.permute(1, 2, 0).numpy().copy()
    for mask in target["masks"].numpy():
        picture[edge(mask)] = _ANNOTATED
    for rle in found.rles:
        picture[edge(mask_of_counts(rle["counts"], height, width))] = _FOUND
    return picture


def contact_sheet(seen: Sequence[SeenSuspect], names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the worst few pictures side by side, uint8 [h, w, 3], each under its name. At least one is needed."""
    shown = list(zip(seen, names, strict=True))[:_TILES]
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (columns * _SIDE, rows * (_SIDE + _CAPTION)), "white")
    for place, (one, name) in enumerate(shown):
        left, top = place % columns * _SIDE, place // columns * (_SIDE + _CAPTION)
        sheet.paste(fitted(Image.fromarray(one.drawn), _SIDE), (left, top + _CAPTION))
        text = latin(f"{name} IoU {one.suspect.picture.mask_iou:.2f}")
        ImageDraw.Draw(sheet).text((left + 2, top + 2), text[-38:], fill="black")
    return np.asarray(sheet)
