"""Non-maximum suppression of proposals, level by level, the boxes that torchvision keeps.

On a CPU torchvision's operator does it for each level of each picture. On a GPU every call of it is waited for, 80
times in a batch of 16: there all levels of all pictures are compared at once, and the same boxes found by iteration.

Shape letters: n pictures, l levels, k boxes of one picture, c boxes of its longest level.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from maskrcnn_exp.model.overlap import iou

__all__ = ["suppress_at_once", "suppress_per_level"]

_ROUNDS_UNWATCHED = 4
"""Iterations between two looks at whether anything changed: a look waits for the device."""


def suppress_per_level(boxes: Tensor, scores: Tensor, usable: Tensor, counts: list[int], threshold: float) -> Tensor:
    """Return the boxes that non-maximum suppression keeps, level by level, the best first.

    Args:
        boxes: float32 [k, 4]; the levels one after the other, each with falling scores.
        scores: float32 [k].
        usable: bool [k]; others neither stay nor suppress.
        counts: How many of the k belong to each level.
        threshold: IoU above which the worse of two boxes goes.
    """
    kept_boxes, kept_scores = [], []
    # Outside autocast the operator is called at once; inside, through a Python wrapper that costs as much again.
    with torch.autocast(boxes.device.type, enabled=False):
        for level_boxes, level_scores in _levels(boxes, scores, usable, counts):
            kept = torch.ops.torchvision.nms(level_boxes, level_scores, threshold)
            kept_boxes.append(level_boxes.index_select(0, kept))
            kept_scores.append(level_scores.index_select(0, kept))
    order = torch.cat(kept_scores).argsort(descending=True, stable=True)
    return torch.cat(kept_boxes)[order]


def _levels(boxes: Tensor, scores: Tensor, usable: Tensor, counts: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
    whole = bool(usable.all())
    parts = zip(torch.split(boxes, counts), torch.split(scores, counts), torch.split(usable, counts), strict=True)
    for level_boxes, level_scores, level_usable in parts:
        yield (level_boxes, level_scores) if whole else (level_boxes[level_usable], level_scores[level_usable])


def suppress_at_once(
    boxes: Tensor, scores: Tensor, usable: Tensor, counts: list[int], threshold: float, most: int
) -> list[Tensor]:
    """Return of each picture what `suppress_per_level` returns, its first `most`.

    Args:
        boxes: float32 [n, k, 4]; the levels one after the other, each with falling scores.
        scores: float32 [n, k], at least 0.
        usable: bool [n, k]; others neither stay nor suppress.
        counts: How many of the k belong to each level.
        threshold: IoU above which the worse of two boxes goes.
        most: Boxes kept of one picture.
    """
    kept = _kept(boxes, usable, counts, threshold)
    order = scores.masked_fill(~kept, -1).argsort(dim=1, descending=True, stable=True)[:, :most]
    best = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    return [of[:count] for of, count in zip(best, kept.sum(dim=1).tolist(), strict=True)]


def _kept(boxes: Tensor, usable: Tensor, counts: list[int], threshold: float) -> Tensor:
    """Return bool [n, k]: kept by greedy suppression.

    A box is kept where no better one that is kept overlaps it. Applied to any guess, this rule makes the best box
    right, then the second, and so on: what no longer changes is the answer. A few rounds do where chains of
    overlaps are short.

    Source: Zheng et al. 2020, "Enhancing Geometric Factors in Model Learning and Inference", Cluster-NMS.
    """
    over = _overlapping(boxes, counts, threshold)  # [n * l, c, c]
    longest = max(counts)
    candidates = torch.stack(
        [F.pad(level, (0, longest - level.shape[1])) for level in torch.split(usable, counts, dim=1)], dim=1
    ).flatten(0, 1)  # [n * l, c]
    kept = candidates
    while True:
        for _ in range(_ROUNDS_UNWATCHED):
            before = kept
            suppressed = (kept[:, None].to(over.dtype) @ over)[:, 0] > 0
            kept = candidates & ~suppressed
        if torch.equal(kept, before):
            break
    levels = kept.view(len(boxes), len(counts), longest)
    return torch.cat([levels[:, level, :count] for level, count in enumerate(counts)], dim=1)


def _overlapping(boxes: Tensor, counts: list[int], threshold: float) -> Tensor:
    """Return bfloat16 [n * l, c, c], 1 where the row's box is better than the column's and overlaps it, else 0."""
    longest = max(counts)
    over = boxes.new_zeros((len(boxes), len(counts), longest, longest), dtype=torch.bfloat16)
    for number, level in enumerate(torch.split(boxes, counts, dim=1)):  # one after the other: four times less memory
        count = level.shape[1]
        sides = level.unbind(dim=-1)
        over[:, number, :count, :count] = (iou(sides, sides) > threshold).triu(diagonal=1)
    return over.flatten(0, 1)
