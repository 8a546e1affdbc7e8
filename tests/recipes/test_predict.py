"""`predict` with a trained checkpoint on real files: overlays, COCO results, label files, broken pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from maskrcnn_exp.errors import ConfigError, DataError
from maskrcnn_exp.recipes.predict import run_words

# pycocotools 2.0.11 under numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZES = {"a.png": (64, 64), "sub/b.jpg": (90, 50)}
ALL = ("model.score_threshold=0", "score=0.2", "trainer=cpu")  # a network of two epochs is sure of little


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from maskrcnn_exp.recipes.train import run
    from tests.recipes.conftest import settings_for

    folder = tmp_path_factory.mktemp("predict") / "run"
    config, settings = settings_for(folder, "trainer.epochs=1")
    run(config, settings)
    return folder / "checkpoints/last.pt"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for name, (width, height) in SIZES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(folder / name)
    return folder


def predict(checkpoint: Path, pictures: Path, output: Path, *words: str) -> int:
    return run_words([f"checkpoint={checkpoint}", f"images={pictures}", f"output={output}", *ALL, *words])


def test_pycocotools_loads_the_results(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    assert predict(checkpoint, pictures, tmp_path / "out") == 0
    truth = COCO(str(tmp_path / "out/images.json"))
    results = truth.loadRes(str(tmp_path / "out/predictions.json"))
    images = {image["file_name"]: image for image in truth.dataset["images"]}
    assert {name: (image["width"], image["height"]) for name, image in images.items()} == SIZES
    assert [category["name"] for category in truth.loadCats(truth.getCatIds())] == ["circle", "square", "triangle"]
    found = results.loadAnns(results.getAnnIds())
    assert len(found) > 2
    for one in found:
        image = truth.imgs[one["image_id"]]
        assert results.annToMask(one).shape == (image["height"], image["width"])
        assert one["category_id"] in truth.cats


def test_overlays_and_label_files_have_their_pictures_names(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(checkpoint, pictures, out, "format=yolo,labelme", "score=0") == 0
    for name, size in SIZES.items():
        with Image.open(out / f"overlays/{name}.jpg") as drawn:
            assert drawn.size == size
        lines = (out / "yolo" / name).with_suffix(".txt").read_text().splitlines()
        assert lines
        for line in lines:
            label, *corners = line.split()
            assert label in {"0", "1", "2"}
            assert len(corners) >= 6
            assert all(0 <= float(corner) <= 1 for corner in corners)
        place = (out / "labelme" / name).with_suffix(".json")
        content = json.loads(place.read_text())
        assert (place.parent / content["imagePath"]).resolve() == (pictures / name).resolve()
        assert len({shape["group_id"] for shape in content["shapes"]} | {0}) > 1 or content["shapes"]


def test_score_and_overlays_leave_out_pictures_and_not_results(
    checkpoint: Path, pictures: Path, tmp_path: Path
) -> None:
    predict(checkpoint, pictures, tmp_path / "all", "overlays=false", "format=yolo", "score=1")
    assert not (tmp_path / "all/overlays").exists()
    assert (tmp_path / "all/yolo/a.txt").read_text() == ""
    assert len(json.loads((tmp_path / "all/predictions.json").read_text())) > 2


def test_the_same_picture_gives_what_validation_found(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a file and back nothing changes."""
    from maskrcnn_exp.data.shapes import ShapesDataset
    from maskrcnn_exp.recipes import predict as module
    from tests.recipes.conftest import settings_for

    config, _ = settings_for(tmp_path / "unused")
    from maskrcnn_exp.data.build import open_datasets

    _, val = open_datasets(config.dataset)
    assert isinstance(val, ShapesDataset)
    image = val.load(0).image
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "one.png")
    seen: list[torch.Tensor] = []
    original = module.read_rgb
    monkeypatch.setattr(module, "read_rgb", lambda path: seen.append(original(path)) or seen[-1])
    assert predict(checkpoint, tmp_path / "one.png", tmp_path / "out") == 0
    assert torch.equal(seen[0], image)


def test_a_broken_picture_is_named_and_left_out_and_the_exit_code_says_so(
    checkpoint: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    assert predict(checkpoint, pictures, tmp_path / "out") == DataError.exit_code
    printed = capsys.readouterr().out
    assert "left out: " in printed
    assert "broken.jpg" in printed
    assert "1 of 3 pictures could not be read" in printed
    assert len(json.loads((tmp_path / "out/images.json").read_text())["images"]) == 2
    with pytest.raises(DataError, match=r"none of 1 pictures could be read.*broken\.jpg"):
        predict(checkpoint, pictures / "broken.jpg", tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("score=2", "score=2 must be a number from 0 to 1"),
        ("score=high", "score=high must be a number"),
        ("format=coco,voc", "format=coco,voc: voc is none of coco, yolo, labelme"),
        ("overlays=maybe", "overlays=maybe must be true or false"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_read(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_words(["checkpoint=absent.pt", "images=absent", "output=out", word])


@pytest.mark.parametrize("missing", ["checkpoint", "images", "output"])
def test_what_is_missing_is_named(missing: str) -> None:
    given = [f"{key}=x" for key in ("checkpoint", "images", "output") if key != missing]
    with pytest.raises(ConfigError, match=f"predict needs {missing}="):
        run_words(given)
