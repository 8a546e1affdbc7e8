"""Which proposals the heads learn from: torchvision's `select_training_samples` for all pictures at once.

The results are torchvision's. It takes the pictures one after the other, some sixty small operations and five waits
for the device each; on a GPU that is a good part of a step.

Shape letters: n pictures, p candidates of the picture with most, g objects of the picture with most.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.models.detection._utils import BoxCoder, Matcher

from maskrcnn_exp.model.overlap import iou
from maskrcnn_exp.model.sampling import BalancedSampler

__all__ = ["match_proposals", "select_regions"]


def select_regions(
    proposals: list[Tensor],
    targets: list[dict[str, Tensor]],
    matcher: Matcher,
    sampler: BalancedSampler,
    box_coder: BoxCoder,
) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """Match, draw and encode.

    Args:
        proposals: float32 [k, 4] of each picture, x1 y1 x2 y2.
        targets: `boxes` float32 [o, 4] and `labels` int64 [o] of each picture.
        matcher: Its two thresholds are used.
        sampler: Draws of each picture.
        box_coder: Encodes the objects' boxes.

    Returns:
        Of each picture s regions: boxes float32 [s, 4], matched objects int64 [s], labels int64 [s] (0 is the
        background), regression targets float32 [s, 4].
    """
    objects = [target["boxes"].to(proposals[0].dtype) for target in targets]
    candidates = [torch.cat(of_picture) for of_picture in zip(proposals, objects, strict=True)]
    labels, matched = match_proposals(candidates, objects, [target["labels"] for target in targets], matcher)
    chosen = sampler.choose(labels)
    places = torch.cat([chosen.positive, chosen.negative]).sort().values
    boxes = torch.cat(candidates)[places]
    # A picture without an object lends its background one of no size, which nothing reads.
    some = [of_picture if len(of_picture) else of_picture.new_zeros((1, 4)) for of_picture in objects]
    starts = accumulate((len(of_picture) for of_picture in some), initial=0)
    own = torch.cat([of_picture + start for of_picture, start in zip(matched, starts, strict=False)])[places]
    regression = box_coder.encode_single(torch.cat(some)[own], boxes)
    results = boxes, torch.cat(matched)[places], torch.cat(labels)[places], regression
    regions, matches, classes, codes = (list(torch.split(result, chosen.of_picture)) for result in results)
    return regions, matches, classes, codes


def match_proposals(
    candidates: list[Tensor], objects: list[Tensor], labels: list[Tensor], matcher: Matcher
) -> tuple[list[Tensor], list[Tensor]]:
    """Give each candidate the class of the object that it overlaps most.

    Returns:
        Of each picture labels int64 [k], 0 below the matcher's lower threshold, -1 between the two; and the objects
        int64 [k], 0 where the label is.

    Source: torchvision's Matcher with `allow_low_quality_matches=False`.
    """
    boxes = pad_sequence(candidates, batch_first=True)  # [n, p, 4]
    truth = pad_sequence([*objects, objects[0].new_zeros((1, 4))], batch_first=True)[:-1]  # [n, g, 4], g at least 1
    classes = pad_sequence([*labels, labels[0].new_zeros(1)], batch_first=True)[:-1]
    overlap = iou(truth.unbind(dim=-1), boxes.unbind(dim=-1))  # [n, g, p]; an added object overlaps nothing
    best, matched = overlap.max(dim=1)
    label = classes.gather(1, matched)
    label = torch.where(best >= matcher.high_threshold, label, -1)
    label = torch.where(best < matcher.low_threshold, 0, label)
    matched = torch.where(best < matcher.high_threshold, 0, matched)
    lengths = [len(of_picture) for of_picture in candidates]
    return (
        [row[:length] for row, length in zip(label, lengths, strict=True)],
        [row[:length] for row, length in zip(matched, lengths, strict=True)],
    )
