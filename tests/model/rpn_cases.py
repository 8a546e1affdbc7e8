"""Proposal networks of torchvision's parts, padded batches of pictures, and boxes tiny, huge and partly outside."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from unittest.mock import patch

import torch
from hypothesis import strategies as st
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import boxes as box_ops

from maskrcnn_exp.model.rpn import FastRegionProposalNetwork
from maskrcnn_exp.model.sampling import BalancedSampler

CHANNELS = 4
STRIDES = (8, 16, 32)
HIGH, LOW = 0.5, 0.25
"""Overlaps that boxes on a grid meet exactly. torchvision's default is 0.7 and 0.3."""

Box = tuple[float, float, float, float]


def box_strategy(side: int) -> st.SearchStrategy[Box]:
    """Boxes on a grid of quarters, so that equal overlaps are equal to the bit; tiny, huge and partly outside."""
    corner = st.integers(-2 * side, 4 * side).map(lambda quarters: quarters / 4)
    extent = st.sampled_from([0.05, 0.25, 1.0, 4.0, 8.0, 13.5, 32.0, 500.0])
    return st.tuples(corner, corner, extent, extent).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def as_tensor(boxes: list[Box]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


def anchor_generator() -> AnchorGenerator:
    return AnchorGenerator(((8,), (16,), (32,)), ((0.5, 1.0, 2.0),) * 3)


def plain_network(seed: int = 0, top_n: int = 200, score_thresh: float = 0.0) -> RegionProposalNetwork:
    """torchvision's network with outputs spread far enough that boxes move and scores differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = RPNHead(CHANNELS, 3)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(20)
        head.conv[0][0].bias.fill_(6)  # a cell whose channels are all 0 after the ReLU ties with others like it
    sampler = BalancedSampler(16, 0.5, salt=1)
    tops = {"training": top_n, "testing": top_n // 2}
    network = RegionProposalNetwork(
        anchor_generator(), head, HIGH, LOW, 16, 0.5, tops, {"training": 40, "testing": 9}, 0.7, score_thresh
    )
    network.fg_bg_sampler = sampler
    return network


def pair(seed: int = 0, **changes: float) -> tuple[FastRegionProposalNetwork, RegionProposalNetwork]:
    plain = plain_network(seed, **changes)  # type: ignore[arg-type]
    return FastRegionProposalNetwork.take_over(deepcopy(plain)), plain


def maps_for(height: int, width: int, pictures: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(pictures, CHANNELS, -(-height // stride), -(-width // stride)) for stride in STRIDES]
    return {str(level): torch.randn(shape, generator=generator) for level, shape in enumerate(shapes)}


@dataclass(frozen=True)
class Batch:
    """Pictures of several sizes in one padded batch, with their objects."""

    sizes: tuple[tuple[int, int], ...]
    objects: tuple[tuple[Box, ...], ...]
    seed: int = 0

    @property
    def padded(self) -> tuple[int, int]:
        """To multiples of 32, as torchvision pads."""
        heights, widths = zip(*self.sizes, strict=True)
        return -(-max(heights) // 32) * 32, -(-max(widths) // 32) * 32

    def images(self) -> ImageList:
        return ImageList(torch.zeros(len(self.sizes), 3, *self.padded), list(self.sizes))

    def maps(self) -> dict[str, Tensor]:
        return maps_for(*self.padded, len(self.sizes), self.seed)

    def targets(self) -> list[dict[str, Tensor]]:
        return [{"boxes": as_tensor(list(boxes))} for boxes in self.objects]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    side = st.integers(8, 96)
    sizes = draw(st.lists(st.tuples(side, side), min_size=1, max_size=3).map(tuple))
    objects = tuple(tuple(draw(st.lists(box_strategy(max(size)), max_size=3))) for size in sizes)
    return Batch(sizes, objects, draw(st.integers(0, 9)))


def results(network: RegionProposalNetwork, batch: Batch) -> tuple[list[Tensor], dict[str, Tensor], list[Tensor]]:
    """Proposals, losses, and the gradients of the maps and of the head."""
    network.fg_bg_sampler.seeds = [batch.seed + picture for picture in range(len(batch.sizes))]
    maps = {name: level.requires_grad_() for name, level in batch.maps().items()}
    # torchvision compares few boxes of all levels at once, moved apart, which rounds them.
    with patch.object(box_ops, "batched_nms", box_ops._batched_nms_vanilla):
        proposals, losses = network(batch.images(), maps, batch.targets() if network.training else None)
    if not losses:
        return proposals, losses, []
    total = losses["loss_objectness"] + losses["loss_rpn_box_reg"]
    return proposals, losses, list(torch.autograd.grad(total, [*maps.values(), *network.head.parameters()]))
