"""Weights of timm's networks: from a file, from the hub's cache, and what is said of those that do not fit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from maskrcnn_exp.errors import CheckpointError, ConfigError
from maskrcnn_exp.model.timm_backbone import timm_maps
from maskrcnn_exp.model.timm_weights import load_timm_weights, normalisation_note

timm = pytest.importorskip("timm", reason="the optional extra timm is not installed")

REPOSITORY = Path(__file__).parents[2]


def whole_network(name: str, classes: int = 1000) -> nn.Module:
    torch.manual_seed(7)
    network: nn.Module = timm.create_model(name, num_classes=classes)
    return network


def published_maps(network: nn.Module, name: str) -> list[torch.Tensor]:
    """What timm's own feature network gives with the same weights."""
    features = timm.create_model(name, features_only=True)
    renamed = {
        key.replace("stages.", "stages_").replace("stem.", "stem_"): v for key, v in network.state_dict().items()
    }
    features.load_state_dict(renamed, strict=False)
    with torch.no_grad():
        maps: list[torch.Tensor] = features.eval()(torch.ones(1, 3, 64, 64))
    return maps


@pytest.mark.parametrize("kind", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("classes", [1000, 7, 0])
def test_a_file_fills_the_maps_whatever_it_classified(tmp_path: Path, kind: str, classes: int) -> None:
    network = whole_network("convnext_atto", classes)
    if kind.endswith("safetensors"):
        from safetensors.torch import save_file

        save_file(network.state_dict(), tmp_path / kind)
    else:
        torch.save(network.state_dict(), tmp_path / kind)
    maps = timm_maps("timm/convnext_atto", "bn")
    notes = load_timm_weights(maps, "timm/convnext_atto", str(tmp_path / kind))
    assert notes == [f"backbone weights from {tmp_path / kind}"]
    with torch.no_grad():
        got = maps.eval()(torch.ones(1, 3, 64, 64)).values()
    for one, expected in zip(got, published_maps(network, "convnext_atto"), strict=True):
        assert torch.equal(one, expected)


def test_frozen_norms_and_nested_names_are_filled_too(tmp_path: Path) -> None:
    network = whole_network("mobilenetv3_small_050")
    torch.save(network.state_dict(), tmp_path / "w.pth")
    maps = timm_maps("timm/mobilenetv3_small_050", "frozen_bn")
    load_timm_weights(maps, "timm/mobilenetv3_small_050", str(tmp_path / "w.pth"))
    state = network.state_dict()
    own = maps.net.state_dict()
    assert own
    assert all(torch.equal(value, state[key]) for key, value in own.items())


def test_a_file_of_another_network_is_refused_by_key_and_shape(tmp_path: Path) -> None:
    torch.save(whole_network("resnet10t").state_dict(), tmp_path / "w.pth")
    maps = timm_maps("timm/convnext_atto", "bn")
    with pytest.raises(CheckpointError, match=r"does not fit timm/convnext_atto, \d+ keys differ:\n  missing: stem"):
        load_timm_weights(maps, "timm/convnext_atto", str(tmp_path / "w.pth"))


@pytest.mark.parametrize("kind", ["absent.pth", "absent.safetensors"])
def test_an_absent_file_is_named(tmp_path: Path, kind: str) -> None:
    maps = timm_maps("timm/convnext_atto", "bn")
    with pytest.raises(CheckpointError, match=f"{kind}: no such file"):
        load_timm_weights(maps, "timm/convnext_atto", str(tmp_path / kind))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{broken}")
    maps = timm_maps("timm/convnext_atto", "bn")
    with pytest.raises(CheckpointError, match=r"w\.safetensors: not a whole safetensors file"):
        load_timm_weights(maps, "timm/convnext_atto", str(tmp_path / "w.safetensors"))


def test_unknown_weights_are_answered_with_those_that_there_are() -> None:
    maps = timm_maps("timm/convnext_atto", "bn")
    with pytest.raises(
        ConfigError, match=r"no such weights for convnext_atto\. Did you mean d2_in1k\? It has: imagenet"
    ):
        load_timm_weights(maps, "timm/convnext_atto", "d1_in1k")


LOAD = """
import torch
from maskrcnn_exp.errors import UserError
from maskrcnn_exp.model.timm_backbone import timm_maps
from maskrcnn_exp.model.timm_weights import load_timm_weights
maps = timm_maps("timm/convnext_atto", "bn")
try:
    print(load_timm_weights(maps, "timm/convnext_atto", "imagenet"))
    print(sum(p.double().sum().item() for p in maps.parameters()))
except UserError as error:
    print(type(error).__name__, error)
"""


def load_offline(cache: Path) -> str:
    """In a process of its own: the hub's client reads its settings when it is imported."""
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def test_published_weights_come_from_the_hubs_cache(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    network = whole_network("convnext_atto")
    folder = tmp_path / "models--timm--convnext_atto.d2_in1k"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("0" * 40)
    save_file(network.state_dict(), snapshot / "model.safetensors")
    note, total = load_offline(tmp_path).splitlines()
    assert note == "['backbone weights from timm convnext_atto.d2_in1k']"
    own = (p.double().sum().item() for name, p in network.named_parameters() if not name.startswith("head."))
    assert float(total) == pytest.approx(sum(own), abs=1e-6)


def test_without_cache_and_network_it_is_said_where_the_file_belongs(tmp_path: Path) -> None:
    said = load_offline(tmp_path)
    assert said.startswith("CheckpointError timm convnext_atto.d2_in1k: the weights could not be read or downloaded")
    assert "HF_HUB_CACHE" in said


def test_another_normalisation_is_mentioned() -> None:
    imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert normalisation_note("timm/convnext_atto", "imagenet", *imagenet) == []
    (note,) = normalisation_note("timm/mobilenetv3_small_050", "lamb_in1k", [0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    assert (
        "model.image_mean=[0.485,0.456,0.406] model.image_std=[0.229,0.224,0.225]; this run has [0.5,0.5,0.5]" in note
    )
