"""The five losses and the COCO numbers of a validation set, from one pass over it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import torch
import torch.distributed
from lightning_fabric import Fabric
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.data.target import GroundTruth, Sample
from maskrcnn_exp.engine.certain_errors import certain_errors
from maskrcnn_exp.engine.coco_ap import STANDARD_MAX_DETS, CocoResult, Detections, encode_detections, evaluate_coco
from maskrcnn_exp.engine.preview import Preview
from maskrcnn_exp.engine.runtime import on_first
from maskrcnn_exp.errors import Interrupted
from maskrcnn_exp.model.forward import Losses, ObjectMasks, losses_detections_and_objects
from maskrcnn_exp.model.parts import LOSSES, LossName
from maskrcnn_exp.record import tags

__all__ = ["Observer", "PictureMasks", "ValidationResult", "gather", "limit_ground_truth", "validate"]


_MASK: Final = LOSSES.index("loss_mask")


class Observer(Protocol):
    """Sees each picture of this process, what was found in it, and what the mask head gives in the true boxes."""

    def __call__(self, sample: Sample, detections: Detections, objects: ObjectMasks) -> object: ...


@dataclass(frozen=True)
class PictureMasks:
    """How well the mask head does in one picture with objects."""

    index: int  # position in the dataset
    regions: int  # foreground proposals, > 0
    loss_mask: float  # mean over them
    mask_iou: float  # of all their r × r pixels, predicted and annotated; 0..1


@dataclass(frozen=True)
class ValidationResult:
    """What one pass found; the same on every process."""

    losses: dict[LossName, float]  # unweighted, of the whole set as one batch
    total: float  # weighted sum
    coco: CocoResult
    seconds: float
    kept: tuple[Preview, ...] = ()  # this process's, of the pictures that were asked for
    pictures: tuple[PictureMasks, ...] = ()  # those with foreground proposals, in the order of the dataset
    mask_iou: float = 0.0  # of the pixels of all foreground proposals, predicted and annotated; 0..1
    class_accuracy: float = 0.0  # of the foreground proposals, among the classes of objects
    certain_errors: dict[str, float] = field(default_factory=dict)  # see engine/certain_errors.py

    def values(self) -> dict[str, float]:
        """Return the epoch's validation tags."""
        values = {tags.val_loss_tag(name): self.losses[name] for name in LOSSES}
        values[tags.VAL_TOTAL] = self.total
        for kind, numbers in (("bbox", self.coco.bbox), ("segm", self.coco.segm)):
            values |= {tags.map_tag(kind, metric): number for metric, number in numbers.items()}
        if self.coco.max_dets != STANDARD_MAX_DETS:
            for kind, numbers in (("bbox", self.coco.standard_bbox), ("segm", self.coco.standard_segm)):
                values |= {tags.standard_map_tag(kind, metric): number for metric, number in numbers.items()}
        values |= {tags.certain_error_tag(kind): share for kind, share in self.certain_errors.items()}
        values |= {"mask/val_iou": self.mask_iou, "roi/val_class_accuracy": self.class_accuracy}
        return values | {"time/eval_s": self.seconds}


@dataclass(frozen=True)
class _PictureLosses:
    index: int
    sums: tuple[float, ...]  # loss · count, in the order of LOSSES
    counts: tuple[int, ...]
    overlap: float  # mask pixels of all regions, predicted and annotated
    union: float
    class_hits: float  # foreground proposals with their own class before all other classes of objects


def validate(
    network: MaskRCNN,
    samples: Iterable[Sample],
    ground_truth: GroundTruth,
    *,
    fabric: Fabric,
    max_dets: int,
    loss_weights: dict[LossName, float],
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[], None] = lambda: None,
    observe: Observer | None = None,
    keep: Collection[int] = (),
) -> ValidationResult:
    """Evaluate the network.

    A loss is Σ loss·count / Σ count over pictures that each were alone in their batch, summed exactly, so that order,
    workers and processes do not change a bit of it.

    Args:
        samples: This process's pictures.
        ground_truth: Of all processes' pictures.
        stop: Asked after each picture.
        progress: Called after each picture.
        observe: Called with each picture; costs one more forward of the mask head, with the true boxes.
        keep: Positions in the dataset of the pictures that the result is to hold.

    Raises:
        Interrupted: `stop` said so.
    """
    started = time.perf_counter()
    was_training, pasted = network.training, network.transform.paste_masks
    network.eval()
    network.transform.paste_masks = False
    kept: dict[int, Sample] = {}
    try:
        losses, detections = _one_pass(network, _keeping(samples, keep, kept), fabric, stop, progress, observe)
    finally:
        network.train(was_training)
        network.transform.paste_masks = pasted
    previews = tuple(Preview(kept[one.image_index], one) for one in detections if one.image_index in kept)
    losses, detections = gather(fabric, losses), gather(fabric, detections)
    coco = on_first(fabric, lambda: evaluate_coco(ground_truth, detections, max_dets))
    mean, regions = _join(losses), sum(picture.counts[_MASK] for picture in losses)
    return ValidationResult(
        losses=mean,
        total=math.fsum(mean[name] * loss_weights[name] for name in LOSSES),
        coco=coco,
        seconds=time.perf_counter() - started,
        kept=previews,
        pictures=tuple(sorted(filter(None, map(_picture_masks, losses)), key=lambda picture: picture.index)),
        mask_iou=sum(picture.overlap for picture in losses) / max(sum(picture.union for picture in losses), 1.0),
        class_accuracy=sum(picture.class_hits for picture in losses) / max(regions, 1),
        certain_errors=on_first(fabric, lambda: certain_errors(ground_truth, detections)),
    )


def _keeping(samples: Iterable[Sample], keep: Collection[int], kept: dict[int, Sample]) -> Iterator[Sample]:
    for sample in samples:
        if sample.index in keep:
            kept[sample.index] = sample
        yield sample


def _one_pass(
    network: MaskRCNN,
    samples: Iterable[Sample],
    fabric: Fabric,
    stop: Callable[[], bool],
    progress: Callable[[], None],
    observe: Observer | None,
) -> tuple[list[_PictureLosses], list[Detections]]:
    losses, detections = [], []
    # One context around all pictures: on leaving it, mixed precision forgets the weights that it converted.
    with fabric.autocast():
        for sample in samples:
            picture, found, objects = losses_detections_and_objects(
                network, sample, fabric.device, objects=observe is not None
            )
            losses.append(_picture_losses(sample.index, picture))
            height, width = sample.image.shape[-2:]
            detections.append(
                encode_detections(
                    sample.index, found.boxes, found.labels, found.scores, found.masks, height=height, width=width
                )
            )
            if observe is not None and objects is not None:
                observe(sample, detections[-1], objects)
            progress()
            if stop():
                raise Interrupted
    return losses, detections


def _picture_losses(index: int, losses: Losses) -> _PictureLosses:
    telemetry = losses.telemetry
    pixels = (telemetry.positives, telemetry.false_positives, telemetry.false_negatives)
    scalars = [*(losses.values[name] for name in LOSSES), *pixels, losses.class_hits]
    numbers: list[float] = torch.stack(
        [scalar.double() for scalar in scalars]
    ).tolist()  # in one copy: each waits for the GPU
    values, (positives, false_positives, false_negatives, hits) = numbers[: len(LOSSES)], numbers[len(LOSSES) :]
    counts = tuple(losses.counts[name] for name in LOSSES)
    sums = tuple(v * c for v, c in zip(values, counts, strict=True))
    return _PictureLosses(index, sums, counts, positives - false_negatives, positives + false_positives, hits)


def _picture_masks(picture: _PictureLosses) -> PictureMasks | None:
    regions = picture.counts[_MASK]
    if not regions:
        return None
    iou = picture.overlap / picture.union if picture.union else 0.0
    return PictureMasks(picture.index, regions, picture.sums[_MASK] / regions, iou)


def _join(pictures: list[_PictureLosses]) -> dict[LossName, float]:
    joined: dict[LossName, float] = {}
    for position, name in enumerate(LOSSES):
        count = sum(picture.counts[position] for picture in pictures)
        loss_sum = math.fsum(picture.sums[position] for picture in pictures)
        joined[name] = loss_sum / count if count else 0.0
    return joined


def gather(fabric: Fabric, mine: list[Any]) -> list[Any]:
    """Return every process's items on every process; they must all call this."""
    if fabric.world_size == 1:
        return mine
    everyone: list[list[Any] | None] = [None] * fabric.world_size
    torch.distributed.all_gather_object(everyone, mine)
    return [item for items in everyone if items is not None for item in items]


def limit_ground_truth(ground_truth: GroundTruth, pictures: int) -> GroundTruth:
    """Return the ground truth of the first `pictures` pictures only."""
    return {
        **ground_truth,
        "images": [image for image in ground_truth["images"] if image["id"] < pictures],
        "annotations": [a for a in ground_truth["annotations"] if a["image_id"] < pictures],
    }
