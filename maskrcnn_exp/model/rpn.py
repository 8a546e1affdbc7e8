"""torchvision's region proposal network with its bookkeeping done once instead of once per picture.

The head, the rules and the results are torchvision's (`trainer.fast=false` runs its own code, and a test holds both
against each other). What is cheaper: pictures of a batch share their anchors, which are kept between steps; only
proposals that go on are decoded; only sampled anchors get regression targets; boxes of different levels are not
compared with each other by the suppression, where torchvision moves them apart and compares them all.

Shape letters: n pictures, a anchors of one picture, g objects of one picture, k proposals that go on to suppression.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, concat_box_prediction_layers
from torchvision.ops import box_area

from maskrcnn_exp.model.overlap import iou
from maskrcnn_exp.model.sampling import BalancedSampler
from maskrcnn_exp.model.suppression import suppress_at_once, suppress_per_level

__all__ = ["Anchors", "FastRegionProposalNetwork", "match_anchors"]

_KEPT_SHAPES = 32
"""Picture shapes whose anchors are kept; multi-scale training sees more, and the oldest are made again."""

_SMOOTH_L1_BETA = 1 / 9  # torchvision's


@dataclass(frozen=True)
class Anchors:
    """The anchors of one picture shape, with what the matching of every picture needs of them."""

    boxes: Tensor  # float32 [a, 4], x1 y1 x2 y2
    sides: tuple[Tensor, ...]  # the four columns of `boxes`, each a run of memory: float32 [a]
    area: Tensor  # float32 [a]

    @classmethod
    def of(cls, boxes: Tensor) -> Anchors:
        return cls(boxes, tuple(side.contiguous() for side in boxes.unbind(dim=1)), box_area(boxes))


class FastRegionProposalNetwork(RegionProposalNetwork):  # type: ignore[misc]
    """RegionProposalNetwork with another forward. It needs a `BalancedSampler` as its sampler."""

    fg_bg_sampler: BalancedSampler
    _anchors: dict[tuple[object, ...], Anchors]

    @classmethod
    def take_over(cls, rpn: RegionProposalNetwork) -> FastRegionProposalNetwork:
        """Give torchvision's network this forward. The module keeps its parameters, names and buffers."""
        rpn.__class__ = cls
        rpn._anchors = {}
        return rpn  # type: ignore[no-any-return]

    def forward(
        self, images: ImageList, features: dict[str, Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        maps = list(features.values())
        logits, deltas = self.head(maps)
        anchors = self._anchors_of(images, maps)
        level_sizes = [level[0].numel() for level in logits]
        logits, deltas = concat_box_prediction_layers(logits, deltas)  # [n * a, 1], [n * a, 4]
        proposals = self._proposals(logits, deltas, anchors.boxes, images.image_sizes, level_sizes)
        if not self.training:
            return proposals, {}
        if targets is None:
            raise ValueError("targets must be given in training mode")
        return proposals, self._losses(logits.flatten(), deltas, anchors, [target["boxes"] for target in targets])

    def _anchors_of(self, images: ImageList, maps: list[Tensor]) -> Anchors:
        key = (images.tensors.shape[-2:], *(level.shape[-2:] for level in maps), maps[0].device, maps[0].dtype)
        if key not in self._anchors:
            while len(self._anchors) >= _KEPT_SHAPES:
                del self._anchors[next(iter(self._anchors))]
            self._anchors[key] = Anchors.of(self.anchor_generator(images, maps)[0])
        return self._anchors[key]

    @torch.no_grad()
    def _proposals(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor, sizes: list[tuple[int, int]], level_sizes: list[int]
    ) -> list[Tensor]:
        """Return each picture's proposals, the best first: float32 [≤ post_nms_top_n, 4]."""
        pictures = len(sizes)
        logits = logits.detach().view(pictures, -1)  # [n, a]
        chosen = self._get_top_n_idx(logits, level_sizes)  # [n, k]
        scores = logits.gather(1, chosen).sigmoid()
        codes = deltas.detach().view(pictures, -1, 4).gather(1, chosen[..., None].expand(-1, -1, 4))
        boxes = self.box_coder.decode_single(codes.reshape(-1, 4), anchors[chosen].reshape(-1, 4))
        boxes = _clip(boxes.view(pictures, -1, 4), sizes)
        sides = boxes[..., 2:] - boxes[..., :2]
        usable = (sides >= self.min_size).all(dim=-1) & (scores >= self.score_thresh)  # [n, k]
        counts = [min(size, self.pre_nms_top_n()) for size in level_sizes]
        if boxes.device.type == "cpu":
            pictures_of = zip(boxes, scores, usable, strict=True)
            return [suppress_per_level(*of, counts, self.nms_thresh)[: self.post_nms_top_n()] for of in pictures_of]
        return suppress_at_once(boxes, scores, usable, counts, self.nms_thresh, self.post_nms_top_n())

    def _losses(self, logits: Tensor, deltas: Tensor, anchors: Anchors, boxes: list[Tensor]) -> dict[str, Tensor]:
        matcher = self.proposal_matcher
        pairs = [match_anchors(picture, anchors, matcher.high_threshold, matcher.low_threshold) for picture in boxes]
        chosen = self.fg_bg_sampler.choose([labels for labels, _ in pairs])
        starts = accumulate((len(picture) for picture in boxes), initial=0)
        matched = torch.cat([of_picture + start for (_, of_picture), start in zip(pairs, starts, strict=False)])
        objects, theirs = (
            torch.cat(boxes)[matched[chosen.positive]],
            anchors.boxes[chosen.positive % len(anchors.boxes)],
        )
        targets = self.box_coder.encode_single(objects, theirs)
        predicted = logits[torch.cat([chosen.positive, chosen.negative])]
        truth = torch.zeros_like(predicted)
        truth[: len(chosen.positive)] = 1
        reg = F.smooth_l1_loss(deltas[chosen.positive], targets, beta=_SMOOTH_L1_BETA, reduction="sum")
        return {
            "loss_objectness": F.binary_cross_entropy_with_logits(predicted, truth),
            "loss_rpn_box_reg": reg / chosen.total,
        }


def _clip(boxes: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
    """Clip float [n, k, 4] to each picture's (height, width)."""
    limit = torch.tensor([[width, height] * 2 for height, width in sizes], dtype=boxes.dtype).to(
        boxes.device, non_blocking=True
    )
    return torch.minimum(boxes.clamp(min=0), limit[:, None])


def match_anchors(boxes: Tensor, anchors: Anchors, high: float, low: float) -> tuple[Tensor, Tensor]:
    """Label the anchors of one picture and give each its best object.

    An anchor is positive where its best IoU is at least `high`, or where it is the best, or equally good, for some
    object; negative where its best IoU is below `low`; else it is ignored.

    Args:
        boxes: float32 [g, 4]; g = 0 makes all anchors negative.
        anchors: a of them.

    Returns:
        Labels, float32 [a], 1 positive, 0 negative, -1 ignored; and the object of each anchor, int64 [a].

    Source: Ren et al. 2015, "Faster R-CNN", section 3.1.2; torchvision's Matcher.
    """
    if len(boxes) == 0:
        return torch.zeros_like(anchors.area), torch.zeros_like(anchors.area, dtype=torch.int64)
    overlap = iou(boxes.unbind(dim=1), anchors.sides, anchors.area)  # [g, a]
    best, matched = overlap.max(dim=0)
    labels = torch.where(best < low, 0.0, -1.0)
    labels[best >= high] = 1.0
    best_of_object = overlap.amax(dim=1, keepdim=True)
    labels[(overlap == best_of_object).any(dim=0)] = 1.0
    return labels, matched
