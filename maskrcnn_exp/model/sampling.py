"""Random choices inside the network that depend on the picture's own seed and on nothing else.

torchvision draws anchors, proposals and training scales from the global generator, so a loss depends on what was
drawn before and on which pictures share a batch. Here every picture brings a seed: a step is the same after a
resume, in any number of processes, and a validation loss is one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.transform import GeneralizedRCNNTransform

__all__ = ["BalancedSampler", "SeededTransform", "picture_seeds"]

_SEED_RANGE = 2**63


class _Seeded(Protocol):
    seeds: Sequence[int] | None


class BalancedSampler:
    """torchvision's BalancedPositiveNegativeSampler with a generator per picture.

    After a call, `sampled` is the number of elements chosen over all pictures: what the losses were divided by.
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float, salt: int) -> None:
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction
        self.salt = salt  # two samplers in one network must not draw the same numbers
        self.seeds: Sequence[int] | None = None
        self.sampled = 0

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Choose per picture.

        Args:
            matched_idxs: one [a] tensor per picture: ≥ 1 positive, 0 negative, -1 ignored.

        Returns:
            Masks uint8 [a] of the chosen positives, and of the chosen negatives, per picture.
        """
        chosen = self.choose(matched_idxs)
        positives = [_mask_of(matches, kept) for matches, (kept, _) in zip(matched_idxs, chosen, strict=True)]
        negatives = [_mask_of(matches, kept) for matches, (_, kept) in zip(matched_idxs, chosen, strict=True)]
        return positives, negatives

    def choose(self, matched_idxs: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Choose as a call does; return the places of the chosen positives and negatives, int64, rising."""
        self.sampled = 0
        chosen = []
        for picture, matches in enumerate(matched_idxs):
            generator = self._generator(picture, matches.device)
            positive = torch.where(matches >= 1)[0]
            negative = torch.where(matches == 0)[0]
            positive_count = min(positive.numel(), int(self.batch_size_per_image * self.positive_fraction))
            negative_count = min(negative.numel(), self.batch_size_per_image - positive_count)
            kept = _choose(positive, positive_count, generator), _choose(negative, negative_count, generator)
            chosen.append((kept[0].sort().values, kept[1].sort().values))
            self.sampled += positive_count + negative_count
        return chosen

    def _generator(self, picture: int, device: torch.device) -> torch.Generator | None:
        if self.seeds is None:
            return None
        generator = torch.Generator(device=device)
        return generator.manual_seed((self.seeds[picture] + self.salt) % _SEED_RANGE)


def _choose(candidates: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    order = torch.randperm(candidates.numel(), generator=generator, device=candidates.device)
    return candidates[order[:count]]


def _mask_of(like: Tensor, chosen: Tensor) -> Tensor:
    mask = torch.zeros_like(like, dtype=torch.uint8)
    mask[chosen] = 1
    return mask


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
        resized, resized_target = super().resize(image, target)
        return resized, resized_target

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
