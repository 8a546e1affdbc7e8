"""What differs on a GPU: other operators, the same numbers. Skipped where there is none; CI has none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.model.forward import Losses, losses_and_detections, training_losses
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.model.roi_align import MatrixRoiAlign
from maskrcnn_exp.model.suppression import suppress_at_once, suppress_per_level
from maskrcnn_exp.recipes.train import run
from tests.model.tiny import choosing_everything, picture, tiny_config, tiny_network
from tests.recipes.conftest import settings_for
from tests.recipes.records import assert_same_checkpoint, assert_same_record

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's own, of a version that CI does not have
]

SAMPLES = [picture(1, 64, 64, objects=3, seed=11), picture(2, 64, 80, objects=0, seed=12), picture(3, 96, 64, seed=13)]
GPU = ("trainer=gpu", "trainer.precision=32-true")


@pytest.fixture
def exact() -> Iterator[None]:
    """float32 products in float32, as on a CPU."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def deterministic() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def losses_on(device: str, network: MaskRCNN) -> tuple[Losses, dict[str, Tensor]]:
    network.to(device).train()
    network.zero_grad()
    losses = training_losses(network, network, SAMPLES, torch.device(device))
    torch.stack([losses.values[name] for name in LOSSES]).sum().backward()
    grads = {name: p.grad.cpu() for name, p in network.named_parameters() if p.grad is not None}
    return losses, grads


@pytest.mark.usefixtures("exact")
def test_losses_gradients_and_counts_are_the_cpus() -> None:
    config = choosing_everything(tiny_config())  # no draw decides: a GPU draws other samples
    expected, expected_grads = losses_on("cpu", tiny_network(config))
    found, grads = losses_on("cuda", tiny_network(config))
    for name in LOSSES:
        torch.testing.assert_close(found.values[name].cpu(), expected.values[name], rtol=1e-3, atol=1e-5)
    assert (found.counts, found.foreground) == (expected.counts, expected.foreground)
    pixels, expected_pixels = (asdict(losses.telemetry) for losses in (found, expected))
    assert pixels["pixels"] == expected_pixels["pixels"]
    assert grads.keys() == expected_grads.keys()
    whole, expected_whole = (torch.cat([g.flatten() for g in of.values()]) for of in (grads, expected_grads))
    assert float((whole - expected_whole).norm() / expected_whole.norm()) < 1e-2


@pytest.mark.usefixtures("exact")
def test_detections_are_the_cpus() -> None:
    network = tiny_network()
    network.transform.paste_masks = False
    results = []
    for device in ("cpu", "cuda"):
        network.to(device).eval()
        results.append(losses_and_detections(network, SAMPLES[0], torch.device(device))[1])
    expected, found = results
    assert len(expected.labels) > 0
    for name in ("boxes", "labels", "scores", "masks"):
        torch.testing.assert_close(getattr(found, name).cpu(), getattr(expected, name), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_suppression_at_once_is_the_operators(threshold: float) -> None:
    generator = torch.Generator().manual_seed(1)
    counts = [2000, 2000, 819, 204, 51]
    corners = torch.rand(4, sum(counts), 2, generator=generator) * 1000
    boxes = torch.cat([corners, corners + 10 + 200 * torch.rand(4, sum(counts), 2, generator=generator)], dim=2).cuda()
    levels = [torch.rand(4, count, generator=generator).sort(dim=1, descending=True).values for count in counts]
    scores = torch.cat(levels, dim=1).cuda()
    usable = (torch.rand(4, sum(counts), generator=generator) < 0.9).cuda()
    found = suppress_at_once(boxes, scores, usable, counts, threshold, 2000)
    for kept, *of_picture in zip(found, boxes, scores, usable, strict=True):
        assert len(kept) > 100
        assert torch.equal(kept, suppress_per_level(*of_picture, counts, threshold)[:2000])


def pooled(pool: MatrixRoiAlign) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    maps = [torch.randn(2, 8, 256 >> level, 256 >> level, generator=generator).cuda() for level in range(4)]
    corners = torch.rand(2, 100, 2, generator=generator) * 900
    boxes = torch.cat([corners, corners + 5 + 400 * torch.rand(2, 100, 2, generator=generator)], dim=2).cuda()
    leaves = {str(level): each.requires_grad_() for level, each in enumerate(maps)}
    out = pool(leaves, list(boxes), [(1024, 1024)] * 2)
    weight = torch.randn(out.shape, generator=generator).cuda()
    (out * weight).sum().backward()
    # A level without a region has no gradient with the operator, and zeros with matrices.
    grads = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves.values()]
    return out.detach(), torch.cat([grad.flatten() for grad in grads])


@pytest.mark.usefixtures("exact")
def test_regions_by_matrices_are_the_operators_and_the_same_twice(request: pytest.FixtureRequest) -> None:
    pool = MatrixRoiAlign([4, 8, 16, 32], 7)
    expected = pooled(pool)
    request.getfixturevalue("deterministic")
    assert pool.by_matrices(torch.device("cuda"))
    found, again = pooled(pool), pooled(pool)
    for one, two, other in zip(found, again, expected, strict=True):
        assert torch.equal(one, two)
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_a_training_that_is_stopped_and_resumed_ends_with_the_same_weights(tmp_path: Path) -> None:
    words = (*GPU, "trainer.deterministic=true", "trainer.epochs=3")
    run(*settings_for(tmp_path / "whole", *words))
    run(*settings_for(tmp_path / "parts", *words, "trainer.stop_after_epoch=1"))
    run(*settings_for(tmp_path / "parts", *words))
    assert_same_record(tmp_path / "whole", tmp_path / "parts")
    assert_same_checkpoint(tmp_path / "whole/checkpoints/last.pt", tmp_path / "parts/checkpoints/last.pt")


def test_a_checkpoint_of_a_gpu_is_evaluated_without_one(tmp_path: Path) -> None:
    run(*settings_for(tmp_path / "run", *GPU, "trainer.epochs=1"))
    words = [
        sys.executable,
        "-m",
        "maskrcnn_exp",
        "evaluate",
        f"checkpoint={tmp_path}/run/checkpoints/last.pt",
        "trainer=cpu",
    ]
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(words, env=hidden, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "segm_AP" in done.stdout or "mask AP" in done.stdout
