"""`export` of a trained checkpoint: onnxruntime and torchvision's own network find what the checkpoint finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn_exp.engine.checkpoint import read_checkpoint
from maskrcnn_exp.errors import CheckpointError, ConfigError, DataError
from maskrcnn_exp.recipes.export import run_words

ALL = ("model.score_threshold=0.01", "pictures=2")  # a network of one epoch is sure of little


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from maskrcnn_exp.recipes.train import run
    from tests.recipes.conftest import settings_for

    folder = tmp_path_factory.mktemp("export") / "run"
    config, settings = settings_for(folder, "trainer.epochs=1")
    run(config, settings)
    return folder


@pytest.fixture(scope="module")
def graph(run_folder: Path) -> Path:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    run_words([str(run_folder), "format=onnx", *ALL])
    return next((run_folder / "export").glob("*.onnx"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)).save(file)
    return file


def test_the_graph_takes_pictures_of_any_size_and_gives_masks_in_their_pixels(graph: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for height, width in ((40, 150), (64, 64), (201, 77)):
        image = np.random.default_rng(height).random((3, height, width), dtype=np.float32)
        boxes, labels, scores, masks = session.run(["boxes", "labels", "scores", "masks"], {"image": image})
        assert masks.shape == (len(boxes), 1, height, width)
        assert len(labels) == len(scores) == len(boxes) > 0
        assert boxes[:, 2].max() <= width
        assert boxes[:, 3].max() <= height


def test_the_graph_knows_its_classes(graph: Path, run_folder: Path) -> None:
    import onnxruntime

    names = [name for _, name in read_checkpoint(run_folder / "checkpoints/last.pt").categories]
    metadata = onnxruntime.InferenceSession(graph).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["__background__", *names]
    assert metadata["masks"] == "pasted"


def test_a_graph_that_finds_something_else_is_not_written(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    from maskrcnn_exp.recipes import export

    found_by_onnx = export.found_by_onnx

    def crooked(content: bytes):  # type: ignore[no-untyped-def]
        find = found_by_onnx(content)
        return lambda picture: find(picture.flip(-1))  # another picture: other boxes

    monkeypatch.setattr(export, "found_by_onnx", crooked)
    with pytest.raises(CheckpointError, match="does not find what the checkpoint finds"):
        run_words([str(run_folder), f"output={tmp_path / 'out'}", *ALL])
    assert list((tmp_path / "out").iterdir()) == []


def test_torchvisions_own_network_loads_the_weights_without_our_package(run_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run_words([str(run_folder / "checkpoints/last.pt"), "format=torchvision", f"output={output}", *ALL])
    code = (
        "import sys, torch; from load_torchvision import load; network, classes = load('last.json'); "
        "assert type(network).__module__.startswith('torchvision.') and len(classes) == network.roi_heads."
        "box_predictor.cls_score.out_features; assert not any(m.startswith('maskrcnn_exp') for m in sys.modules); "
        "torch.save(network([torch.load('picture.pt')])[0], 'found.pt')"
    )
    picture = torch.rand(3, 80, 64, generator=torch.Generator().manual_seed(1))
    torch.save(picture, output / "picture.pt")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=output, env=environment, check=True)
    theirs = torch.load(output / "found.pt")
    ours = _ours(run_folder / "checkpoints/last.pt", picture)
    assert len(ours["boxes"]) > 0
    for name in ("boxes", "labels", "scores", "masks"):
        torch.testing.assert_close(theirs[name], ours[name], rtol=0, atol=1e-3)


def _ours(source: Path, picture: torch.Tensor) -> dict[str, torch.Tensor]:
    from maskrcnn_exp.engine.checkpoint import load_evaluated
    from maskrcnn_exp.model.build import build_maskrcnn
    from maskrcnn_exp.recipes.from_checkpoint import config_of

    checkpoint = read_checkpoint(source)
    config, _ = config_of(checkpoint, ["model.score_threshold=0.01"])
    network, _ = build_maskrcnn(
        config.model, len(checkpoint.categories) + 1, checkpoint.detections_per_image, load_weights=False
    )
    load_evaluated(network, checkpoint, source)
    with torch.inference_mode():
        return network.eval()([picture])[0]  # type: ignore[no-any-return]


def test_the_run_may_be_named_without_its_key_and_the_pictures_may_be_ones_own(
    run_folder: Path, picture: Path, tmp_path: Path
) -> None:
    for number, named in enumerate((str(run_folder), f"checkpoint={run_folder}")):
        output = tmp_path / str(number)
        run_words([named, "format=torchvision", f"images={picture}", f"output={output}"])
        assert {file.suffix for file in output.iterdir()} == {".pth", ".json", ".py"}


def test_a_missing_package_is_named_with_its_command(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install 'maskrcnn-exp\[export\]'"):
        run_words([str(run_folder)])


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("format=torchvision",), ConfigError, "one checkpoint or run folder, got none"),
        (("RUN", "RUN", "format=torchvision"), ConfigError, "one checkpoint or run folder, got"),
        (("RUN", "format=coreml"), ConfigError, "coreml is none of onnx, torchvision"),
        (("RUN", "format=torchvision", "pictures=0"), ConfigError, "whole number"),
        (("RUN", "format=torchvision", "masks=tiny"), ConfigError, "pasted"),
        (("RUN", "format=torchvision", "images=absent"), DataError, "images=absent"),
        (("EMPTY", "format=torchvision"), CheckpointError, "no checkpoints/best.pt or last.pt"),
        (("absent.pt", "format=torchvision"), CheckpointError, "no such checkpoint"),
        (("RUN", "format=torchvision", "output=FILE/below"), ConfigError, "cannot be made"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_sentence(
    run_folder: Path, picture: Path, tmp_path: Path, words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    places = {
        "RUN": str(run_folder),
        "EMPTY": str(tmp_path),
        "FILE": str(picture),
        "absent.pt": str(tmp_path / "no.pt"),
    }
    typed = [places.get(word, word) for word in words]
    with pytest.raises(error, match=message):
        run_words([word.replace("=FILE", f"={picture}") for word in typed])
