"""Weights by name from torch hub's cache, from files, and the words for what does not fit."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import (
    DenseNet121_Weights,
    MobileNet_V2_Weights,
    ResNet18_Weights,
    WeightsEnum,
    densenet121,
    mobilenet_v2,
    resnet18,
)
from torchvision.models.detection import (
    MaskRCNN_ResNet50_FPN_V2_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)
from torchvision.ops import FrozenBatchNorm2d

from maskrcnn_exp.compose import compose, to_train_config
from maskrcnn_exp.errors import CheckpointError, ConfigError
from maskrcnn_exp.model.backbone import build_stages
from maskrcnn_exp.model.build import build_maskrcnn
from maskrcnn_exp.model.weights import load_backbone_weights, load_network_weights, read_file
from maskrcnn_exp.schema import ModelConfig
from tests.model.test_weights_files import Payload
from tests.model.tiny import CLASSES, tiny_config, tiny_network

MOBILENET_FILE = Path(__file__).resolve().parents[2].parent / "shared/data/weights/mobilenet_v2_features.pth"
COCO_CLASSES = 91


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """torch hub's cache in a folder of its own, with every way out of the machine shut."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            monkeypatch.setenv(spelling, "http://127.0.0.1:9")  # the discard port: refused at once
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # urllib keeps the proxies of its first call for all later ones of the process.
    monkeypatch.setattr(urllib.request, "_opener", None)
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path))
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(before)


def publish(hub: Path, entry: WeightsEnum, state: dict[str, Tensor]) -> None:
    """Lay a state dict where a download would lie."""
    hub.mkdir(exist_ok=True)
    torch.save(state, hub / entry.url.rsplit("/", 1)[-1])


def noise_like(module: nn.Module) -> dict[str, Tensor]:
    """A state dict of small random values under the module's names; the module itself may be on the meta device."""
    generator = torch.Generator().manual_seed(3)
    return {
        key: torch.randn(value.shape, generator=generator).mul_(0.01) if value.is_floating_point() else torch.tensor(1)
        for key, value in module.state_dict().items()
    }


def preset(name: str, weights: str) -> ModelConfig:
    config = to_train_config(compose([f"model={name}", "run_dir=unused", "model.backbone_weights=none"])).model
    return replace(config, weights=weights)


def assert_loaded(network: nn.Module, state: dict[str, Tensor], but: tuple[str, ...] = ()) -> None:
    own = network.state_dict()
    for key, value in own.items():
        if not key.endswith("num_batches_tracked"):
            assert torch.equal(value, state[key]) != key.startswith(but or ("-",)), key


def old_name(key: str) -> str:
    """What torchvision before 0.13 called it, as the published v1 file does."""
    key = key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    for layer in range(4):
        key = key.replace(f"roi_heads.mask_head.{layer}.0.", f"roi_heads.mask_head.mask_fcn{layer + 1}.")
        for kind in ("inner", "layer"):
            key = key.replace(f"fpn.{kind}_blocks.{layer}.0.", f"fpn.{kind}_blocks.{layer}.")
    return key


PREDICTORS = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")


def test_coco_v1_loads_by_name_with_new_predictors_for_other_classes(hub: Path) -> None:
    with torch.device("meta"):
        plain = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    state = noise_like(plain)
    publish(hub, MaskRCNN_ResNet50_FPN_Weights.COCO_V1, {old_name(key): value for key, value in state.items()})
    network, notes = build_maskrcnn(preset("resnet50_fpn", "coco"), CLASSES, detections_per_image=100)
    assert_loaded(network, state, but=PREDICTORS)
    assert network.roi_heads.box_predictor.cls_score.out_features == CLASSES
    assert {m.eps for m in network.modules() if isinstance(m, FrozenBatchNorm2d)} == {0.0}
    assert notes[0] == "weights from torchvision MaskRCNN_ResNet50_FPN_Weights.COCO_V1"
    assert "predictors start anew" in notes[1]
    assert "roi_heads.box_predictor.cls_score.weight" in notes[1]
    assert "mask_fcn_logits.bias" in notes[1]


def test_coco_v1_keeps_its_eps_when_a_checkpoint_brings_the_weights() -> None:
    with torch.device("meta"):
        network, notes = build_maskrcnn(preset("resnet50_fpn", "coco"), CLASSES, 100, load_weights=False)
    assert {m.eps for m in network.modules() if isinstance(m, FrozenBatchNorm2d)} == {0.0}
    assert notes == []


def test_coco_v2_loads_by_name_whole(hub: Path) -> None:
    with torch.device("meta"):
        plain = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
    state = noise_like(plain)
    publish(hub, MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1, state)
    network, notes = build_maskrcnn(preset("resnet50_fpn_v2", "coco"), COCO_CLASSES, detections_per_image=100)
    assert_loaded(network, state)
    assert {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}
    assert notes == ["weights from torchvision MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1"]


@pytest.mark.parametrize("norm", ["bn", "frozen_bn"])
def test_imagenet_loads_by_name_without_the_classifier(hub: Path, norm: str) -> None:
    with torch.device("meta"):
        plain = resnet18()
    state = noise_like(plain)
    publish(hub, ResNet18_Weights.IMAGENET1K_V1, state)
    network, notes = build_maskrcnn(tiny_config(backbone_norm=norm, backbone_weights="imagenet"), CLASSES, 5)
    assert_loaded(network.backbone.body, state)
    assert notes == ["backbone weights from torchvision ResNet18_Weights.IMAGENET1K_V1"]


def test_whole_weights_leave_the_backbones_own_unread(hub: Path) -> None:
    assert not hub.exists()  # so that reading imagenet would fail
    file = hub.parent / "whole.pth"
    state = noise_like(tiny_network())
    torch.save(state, file)
    network, notes = build_maskrcnn(tiny_config(backbone_weights="imagenet", weights=str(file)), CLASSES, 5)
    assert_loaded(network, state)
    assert notes == [f"weights from {file}"]


def test_old_names_of_densenet_fit(hub: Path) -> None:
    with torch.device("meta"):
        plain = densenet121()
    state = noise_like(plain)
    old = {
        key.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.").replace("conv1.", "conv.1.")
        if "denselayer" in key
        else key: value
        for key, value in state.items()
    }
    assert old.keys() != state.keys()
    publish(hub, DenseNet121_Weights.IMAGENET1K_V1, old)
    stages = build_stages("densenet121", "bn")
    load_backbone_weights(stages, "densenet121", "imagenet")
    assert_loaded(stages, {key.removeprefix("features."): value for key, value in state.items()})


def test_other_entries_load_under_torchvisions_name(hub: Path) -> None:
    with torch.device("meta"):
        plain = mobilenet_v2()
    state = noise_like(plain)
    publish(hub, MobileNet_V2_Weights.IMAGENET1K_V2, state)
    stages = build_stages("mobilenet_v2", "frozen_bn")
    notes = load_backbone_weights(stages, "mobilenet_v2", "IMAGENET1K_V2")
    assert_loaded(stages, {key.removeprefix("features."): value for key, value in state.items()})
    assert notes == ["backbone weights from torchvision MobileNet_V2_Weights.IMAGENET1K_V2"]


def test_missing_network_names_file_and_folder(hub: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        build_maskrcnn(tiny_config(backbone_weights="imagenet"), CLASSES, 5)
    assert ResNet18_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1] in str(caught.value)
    assert f"put the file into {hub}" in str(caught.value)
    assert "or none to train from nothing" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"hello world\n"])
def test_damaged_file_in_the_cache_is_said_to_be_damaged(hub: Path, content: bytes) -> None:
    hub.mkdir()
    (hub / ResNet18_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1]).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"resnet18-.*a damaged file there must be deleted"):
        load_backbone_weights(build_stages("resnet18", "bn"), "resnet18", "imagenet")


def test_unknown_entry_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"backbone_weights=coco: .*for resnet50\. It has: IMAGENET1K_V1, IMAGENET1K_V2"
    ):
        load_backbone_weights(nn.Sequential(), "resnet50", "coco")


@pytest.mark.parametrize(("backbone", "weights"), [("resnet18", "coco"), ("resnet50", "imagenet")])
def test_no_published_network_weights(backbone: str, weights: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.weights={weights}: .*only as `coco`.*model\.backbone_weights"):
        load_network_weights(nn.Sequential(), tiny_config(backbone=backbone, weights=weights))


@pytest.mark.skipif(not MOBILENET_FILE.is_file(), reason=f"real weights are not here: {MOBILENET_FILE}")
@pytest.mark.parametrize("norm", ["frozen_bn", "bn"])
def test_real_file_loads_into_mobilenet(norm: str) -> None:
    stages = build_stages("mobilenet_v2", norm)
    notes = load_backbone_weights(stages, "mobilenet_v2", str(MOBILENET_FILE))
    state = {key.removeprefix("features."): value for key, value in read_file(MOBILENET_FILE).items()}
    assert_loaded(stages, state)
    assert notes == [f"backbone weights from {MOBILENET_FILE}"]


def test_mismatch_lists_keys_and_shapes_and_changes_nothing(tmp_path: Path) -> None:
    stages = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = {key: value.clone() for key, value in stages.state_dict().items()}
    file = tmp_path / "other.pth"
    torch.save({"0.weight": torch.ones(3, 2), "0.bias": torch.ones(4), "extra": torch.ones(5)}, file)
    with pytest.raises(CheckpointError) as caught:
        load_backbone_weights(stages, "resnet18", str(file))
    text = str(caught.value)
    assert text.startswith(f"model.backbone_weights={file} does not fit the network, 4 keys differ:")
    for line in ("missing: 1.weight [1, 3]", "unknown: extra [5]", "shape: 0.bias is [4], the network has [3]"):
        assert line in text
    assert "model.backbone=" in text
    assert all(torch.equal(value, before[key]) for key, value in stages.state_dict().items())


def test_only_predictors_may_differ_in_shape(tmp_path: Path) -> None:
    state = tiny_network().state_dict()
    state["roi_heads.box_head.fc6.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"1 keys differ:\n  shape: roi_heads\.box_head\.fc6\.bias is \[7\]"):
        build_maskrcnn(tiny_config(weights=str(tmp_path / "w.pth")), CLASSES + 1, 5)


def test_cached_file_that_would_run_code_does_not_run(hub: Path) -> None:
    hub.mkdir()
    torch.save(Payload(hub / "trace"), hub / ResNet18_Weights.IMAGENET1K_V1.url.rsplit("/", 1)[-1])
    with pytest.raises(CheckpointError, match="resnet18"):
        load_backbone_weights(nn.Sequential(), "resnet18", "imagenet")
    assert not (hub / "trace").exists()
