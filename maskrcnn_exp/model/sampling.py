"""Random choices inside the network that depend on the picture's own seed and on nothing else.

torchvision draws anchors, proposals and training scales from the global generator, so a loss depends on what was
drawn before and on which pictures share a batch. Here every picture brings a seed: a step is the same after a
resume, in any number of processes, and a validation loss is one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.transform import GeneralizedRCNNTransform, _resize_image_and_masks

__all__ = ["BalancedSampler", "Chosen", "SeededTransform", "picture_seeds"]

_SEED_RANGE = 2**63


class _Seeded(Protocol):
    seeds: Sequence[int] | None


@dataclass(frozen=True)
class Chosen:
    """What a sampler chose among the elements of several pictures, as if these stood one behind the other."""

    positive: Tensor  # int64, places, rising
    negative: Tensor  # int64, places, rising
    positives: list[int]  # of each picture
    negatives: list[int]  # of each picture

    @property
    def total(self) -> int:
        return sum(self.positives) + sum(self.negatives)

    @property
    def of_picture(self) -> list[int]:
        """How many of each picture were chosen."""
        return [p + n for p, n in zip(self.positives, self.negatives, strict=True)]


class BalancedSampler:
    """torchvision's BalancedPositiveNegativeSampler with a generator per picture.

    After a call, `chosen` is what was chosen; its total is what the losses were divided by.
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float, salt: int) -> None:
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction
        self.salt = salt  # two samplers in one network must not draw the same numbers
        self.seeds: Sequence[int] | None = None
        self.chosen: Chosen | None = None

    @property
    def sampled(self) -> int:
        """The number of elements chosen over all pictures by the last call."""
        return 0 if self.chosen is None else self.chosen.total

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Choose per picture.

        Args:
            matched_idxs: one [a] tensor per picture: ≥ 1 positive, 0 negative, -1 ignored.

        Returns:
            Masks uint8 [a] of the chosen positives, and of the chosen negatives, per picture.
        """
        chosen = self.choose(matched_idxs)
        lengths = [len(matches) for matches in matched_idxs]
        positives, negatives = (
            torch.split(
                torch.zeros(sum(lengths), dtype=torch.uint8, device=places.device).index_fill_(0, places, 1), lengths
            )
            for places in (chosen.positive, chosen.negative)
        )
        return list(positives), list(negatives)

    def choose(self, matched_idxs: list[Tensor]) -> Chosen:
        """Choose as a call does, and return the places.

        The device is waited for three times, however many pictures there are.
        """
        matches = torch.cat(matched_idxs)
        candidates = torch.where(matches >= 1)[0], torch.where(matches == 0)[0]
        positives, negatives = _per_picture(candidates, [len(picture) for picture in matched_idxs])
        most = int(self.batch_size_per_image * self.positive_fraction)
        kept = [min(count, most) for count in positives]
        left = [min(count, self.batch_size_per_image - taken) for count, taken in zip(negatives, kept, strict=True)]
        draw = _draws_on_cpu if matches.device.type == "cpu" else _draws_from_counts
        drawn = draw(self._seeds(len(matched_idxs)), (positives, kept), (negatives, left))
        positive, negative = (
            places[order.to(places.device, non_blocking=True)] for places, order in zip(candidates, drawn, strict=True)
        )
        self.chosen = Chosen(positive, negative, kept, left)
        return self.chosen

    def _seeds(self, pictures: int) -> list[int] | None:
        return None if self.seeds is None else [(seed + self.salt) % _SEED_RANGE for seed in self.seeds[:pictures]]


def _per_picture(kinds: Sequence[Tensor], lengths: list[int]) -> list[list[int]]:
    """Return of each kind how many of its places, int64 and rising, lie in each picture of these lengths."""
    ends = torch.tensor(list(accumulate(lengths))).to(kinds[0].device, non_blocking=True)
    below: list[list[int]] = torch.stack([torch.searchsorted(places, ends) for places in kinds]).tolist()
    return [[end - start for start, end in pairwise([0, *of_kind])] for of_kind in below]


_Draw = tuple[list[int], list[int]]
"""Per picture: how many candidates there are, and how many of them to draw."""


def _draws_on_cpu(seeds: list[int] | None, *kinds: _Draw) -> list[Tensor]:
    """Return places among the candidates of each kind, rising, int64: torchvision's draw."""
    drawn: list[list[Tensor]] = [[] for _ in kinds]
    starts = [0] * len(kinds)
    for picture in range(len(kinds[0][0])):
        generator = None if seeds is None else torch.Generator().manual_seed(seeds[picture])
        for number, (counts, kept) in enumerate(kinds):
            order = torch.randperm(counts[picture], generator=generator)[: kept[picture]]
            drawn[number].append(order.sort().values + starts[number])
            starts[number] += counts[picture]
    return [torch.cat(of_kind) for of_kind in drawn]


def _draws_from_counts(seeds: list[int] | None, *kinds: _Draw) -> list[Tensor]:
    """Return the same for a GPU, whose many anchors took the CPU milliseconds to permute: few are drawn of them."""
    if seeds is None:
        seeds = torch.randint(_SEED_RANGE - 1, (len(kinds[0][0]),)).tolist()
    generators = [np.random.default_rng(seed) for seed in seeds]
    drawn = []
    for counts, kept in kinds:
        starts = [0, *accumulate(counts)]
        pictures = zip(generators, counts, kept, starts, strict=False)
        orders = [np.sort(g.choice(n, k, replace=False, shuffle=False)) + start for g, n, k, start in pictures if k]
        drawn.append(torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *orders])))
    return drawn


class SeededTransform(GeneralizedRCNNTransform):  # type: ignore[misc]
    """torchvision's normalise-resize-pad, with the training scale drawn from the picture's seed.

    A picture that already has its size is not interpolated: torchvision would compute the same values again.
    With `paste_masks` off, detections keep the mask head's small masks, boxes are in the picture's own pixels.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seeds: Sequence[int] | None = None
        self.paste_masks = True
        self._next_picture = 0
        self._of_device: tuple[Tensor, Tensor] | None = None  # mean and deviation, float32 [3, 1, 1]

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        self._next_picture = 0
        return super().forward(images, targets)

    def torch_choice(self, k: Sequence[int]) -> int:
        if self.seeds is None or len(k) == 1:
            return k[0] if len(k) == 1 else int(super().torch_choice(k))
        generator = torch.Generator().manual_seed(self.seeds[self._next_picture] % _SEED_RANGE)
        self._next_picture += 1
        return k[int(torch.randint(len(k), (1,), generator=generator))]

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        sizes = set(self.min_size) if self.training else {self.min_size[-1]}
        if sizes == {min(image.shape[-2:])} and max(image.shape[-2:]) <= self.max_size:
            return image, target
        size = self.torch_choice(self.min_size) if self.training else self.min_size[-1]
        resized, target = _resize_image_and_masks(image, size, self.max_size, target)
        if target is not None:
            target["boxes"] = _resize_boxes(target["boxes"], image.shape[-2:], resized.shape[-2:])
        return resized, target

    def normalize(self, image: Tensor) -> Tensor:
        """torchvision's; what it divides by is brought to the device once, not for every picture."""
        if self._of_device is None or self._of_device[0].device != image.device:
            mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (self.image_mean, self.image_std))
            self._of_device = mean.to(image.device), std.to(image.device)
        mean, std = self._of_device
        return (image - mean) / std

    def postprocess(
        self,
        result: list[dict[str, Tensor]],
        image_shapes: list[tuple[int, int]],
        original_image_sizes: list[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        if self.paste_masks or self.training:
            pasted: list[dict[str, Tensor]] = super().postprocess(result, image_shapes, original_image_sizes)
            return pasted
        small = [detections.pop("masks") for detections in result]
        result = super().postprocess(result, image_shapes, original_image_sizes)
        for detections, masks in zip(result, small, strict=True):
            detections["masks"] = masks
        return result


def _resize_boxes(boxes: Tensor, old: Sequence[int], new: Sequence[int]) -> Tensor:
    """Return torchvision's resize_boxes; its ratios are two tensors more on the device, each of which is waited for."""
    down, across = (float(np.float32(after) / np.float32(before)) for after, before in zip(new, old, strict=True))
    resized = boxes.clone()
    resized[:, 0::2] *= across
    resized[:, 1::2] *= down
    return resized


@contextmanager
def picture_seeds(model: MaskRCNN, seeds: Sequence[int]) -> Iterator[None]:
    """Give the pictures of the next forward pass their seeds, in the order of the pictures."""
    seeded: list[_Seeded] = [model.transform, model.rpn.fg_bg_sampler, model.roi_heads.fg_bg_sampler]
    for place in seeded:
        place.seeds = seeds
    try:
        yield
    finally:
        for place in seeded:
            place.seeds = None
