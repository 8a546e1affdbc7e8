"""Pictures and annotations in a format that says something else than meant: nothing can be learned from them."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from maskrcnn_exp.diagnose import thresholds as limits
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.prescriptions import check_data
from maskrcnn_exp.diagnose.rules.evidence import curve, since
from maskrcnn_exp.diagnose.rules.outcome import chance_of
from maskrcnn_exp.diagnose.trends import finite, last
from maskrcnn_exp.diagnose.verdict import Evidence, Prescription, Severity, Verdict
from maskrcnn_exp.model.parts import LOSS_OWNER, LOSSES
from maskrcnn_exp.record import tags

__all__ = ["ap_stays_zero", "loss_is_zero", "pixel_normalisation", "trivial_masks"]

Channels = NDArray[np.float64]

_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)


def pixel_normalisation(curves: Curves) -> list[Verdict]:
    """Mean and deviation of the pixels are not those of pictures in 0..1, or not those of the pretrained weights."""
    mean, std = np.array(curves.facts.image_mean), np.array(curves.facts.image_std)
    if len(mean) != 3 or len(std) != 3:
        return []
    problem, severity = _pixel_problem(curves, mean, std)
    if not problem:
        return []
    ours = (f"model.image_mean=[{','.join(map(str, _MEAN))}]", f"model.image_std=[{','.join(map(str, _STD))}]")
    evidence = (
        Evidence("model.image_mean", tuple(mean.tolist()), f"ImageNet: {_MEAN}"),
        Evidence("model.image_std", tuple(std.tolist()), f"ImageNet: {_STD}"),
        curve(curves, tags.TRAIN_TOTAL),
    )
    words = Prescription(ours, "ImageNet's figures for RGB in 0..1, which all pretrained weights here expect")
    says = f"The pictures are normalised wrongly: {problem}."
    return [
        Verdict("pixel_normalisation", "data", severity, 0.9, curves.epoch(0), says, "pixels", "total", evidence, words)
    ]


def _pixel_problem(curves: Curves, mean: Channels, std: Channels) -> tuple[str, Severity]:
    if max(mean.max(), std.max()) > limits.CHANNEL_TOO_LARGE:
        return "image_mean and image_std are of pixels in 0..255, and pictures come as 0..1", "severe"
    if std.min() < limits.STD_TOO_SMALL or np.abs((0.5 - mean) / std).max() > limits.FAR_INPUT:
        return f"a mid grey becomes {np.abs((0.5 - mean) / std).max():.1f} standard deviations", "severe"
    off = np.abs(mean - _MEAN).max() > limits.FAR_MEAN or np.abs(np.log(std / _STD)).max() > math.log(limits.FAR_STD)
    if off and curves.facts.pretrained:
        return "the pretrained weights expect ImageNet's figures", "severe" if curves.facts.frozen_norm else "warning"
    return "", "info"


def loss_is_zero(curves: Curves) -> list[Verdict]:
    """A loss is exactly 0: nothing that it could be computed from reaches its head, or its weight hides it."""
    silent = [
        loss for loss in LOSSES if len(finite(curves.train(loss))) > 1 and not finite(curves.train(loss))[-2:].any()
    ]
    if not silent:
        return []
    start = since(curves, ~(curves.train(silent[0]) > 0))
    says = f"{' and '.join(silent)} {'are' if len(silent) > 1 else 'is'} exactly 0: no annotation reaches the head."
    evidence = (*(curve(curves, tags.train_loss_tag(loss)) for loss in silent), curve(curves, "roi/foreground"))
    looked = check_data("lists empty masks, empty pictures and annotations in a format that is not read")
    part = LOSS_OWNER[silent[0]]
    return [Verdict("loss_is_zero", part, "severe", 0.95, start, says, "exactly 0", silent[0], evidence, looked)]


def ap_stays_zero(curves: Curves) -> list[Verdict]:
    """The heads learn and no detection is ever right: ids, categories or sizes differ in the evaluation."""
    boxes, accuracy = finite(curves.ap("bbox")), last(curves["mask/accuracy"])
    settled = len(finite(curves.after_warmup(tags.map_tag("bbox", "AP"))))
    if settled < limits.AP_ZERO_EVALUATIONS or boxes.max() > limits.AP_ZERO:
        return []
    classifier = curves.train("loss_classifier")
    # What exploded at first falls far without learning anything: then a guess is what it is measured by.
    highest = np.nanmin([np.nanmax(classifier), chance_of(curves, "loss_classifier")])
    learned = accuracy >= limits.HEAD_HAS_LEARNED or last(classifier) < limits.GOOD_LOSS * highest
    objectness = last(curves.train("loss_objectness")) < limits.HIGH_MASK * chance_of(curves, "loss_objectness")
    if not learned or not objectness:
        return []
    says = (
        f"The heads learn ({_learned(curves)}) and box AP stays {boxes[-1]:.3f}: image ids, category ids or picture "
        "sizes of the evaluation are not those of the training."
    )
    evidence = (
        curve(curves, tags.map_tag("bbox", "AP")),
        curve(curves, tags.map_tag("segm", "AP")),
        curve(curves, tags.train_loss_tag("loss_classifier")),
        curve(curves, "mask/accuracy"),
    )
    looked = check_data("compares ids and categories of the two splits")
    return [
        Verdict(
            "ap_stays_zero", "data", "severe", 0.85, curves.epoch(0), says, "AP stays 0", "bbox_ap", evidence, looked
        )
    ]


def _learned(curves: Curves) -> str:
    accuracy = last(curves["mask/accuracy"])
    if math.isfinite(accuracy):
        return f"{accuracy:.0%} of mask pixels are right"
    return f"loss_classifier {last(curves.train('loss_classifier')):.3f}"


def trivial_masks(curves: Curves) -> list[Verdict]:
    """The masks that are learned hold nothing, or all of their box: no head is that good."""
    accuracy = finite(curves["mask/accuracy"])
    if len(accuracy) < limits.SETTLED_EPOCHS or not accuracy[-2:].min() >= limits.TRIVIAL_ACCURACY:
        return []
    says = (
        f"{accuracy[-1]:.2%} of the mask pixels are right, which no real outline allows: annotated masks are empty, "
        "or they are their boxes."
    )
    names = ("mask/accuracy", "mask/false_negative", "mask/false_positive")
    evidence = (*(curve(curves, name) for name in names), curve(curves, tags.train_loss_tag("loss_mask")))
    start = since(curves, ~(curves["mask/accuracy"] < limits.TRIVIAL_ACCURACY))
    looked = check_data("lists masks that fill almost all or almost nothing of their box")
    return [Verdict("trivial_masks", "data", "severe", 0.9, start, says, "too easy", "loss_mask", evidence, looked)]
