"""Links out of a folder of data are refused before anything is read, and followed where the user says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn_exp.data.build import open_datasets
from maskrcnn_exp.data.links import refuse_links_out
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.recipes.check_data import run_words
from maskrcnn_exp.schema import CocoConfig, LabelmeConfig, MaskPngConfig, SplitConfig, VocConfig, YoloSegConfig

CONFIGS = {
    "coco": CocoConfig,
    "labelme": LabelmeConfig,
    "mask_png": MaskPngConfig,
    "voc": VocConfig,
    "yolo": YoloSegConfig,
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """What lies beside the folder of data."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "secret.png").write_bytes(b"of the reader")
    return tmp_path / "store"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "images").mkdir(parents=True)
    (tmp_path / "data" / "images" / "a.png").touch()
    return tmp_path / "data"


def test_links_inside_and_plain_files_pass(data: Path) -> None:
    (data / "b.png").symlink_to(data / "images" / "a.png")
    (data / "images" / "c.png").symlink_to("../b.png")
    (data / "again").symlink_to("images", target_is_directory=True)
    (data / "images" / "loop").symlink_to("..", target_is_directory=True)
    refuse_links_out(data, [data])
    refuse_links_out(data, [data / "images"])  # what is read of it; the folder is the border


@pytest.mark.parametrize("target", ["../../store/secret.png", "../../store", "../../nothing", "/etc"])
def test_a_link_out_is_refused_by_name(target: str, data: Path, store: Path) -> None:
    link = data / "images" / "b.png"
    link.symlink_to(target)
    with pytest.raises(DataError, match=f"{link}: this link leads out of {data}, to .*follow_links=true"):
        refuse_links_out(data, [data])


def test_a_folder_in_the_root_that_leads_out_is_refused(data: Path, store: Path) -> None:
    (data / "train").symlink_to(store, target_is_directory=True)
    with pytest.raises(DataError, match="leads out"):
        refuse_links_out(data, [data / "train"])
    refuse_links_out(data, [data / "images"])  # what is not read does not matter


def test_the_named_folder_may_be_a_link_itself(data: Path, tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(data, target_is_directory=True)
    (data / "images" / "b.png").symlink_to("a.png")
    refuse_links_out(tmp_path / "here", [tmp_path / "here" / "images"])


def test_a_folder_whose_name_begins_alike_is_another(data: Path) -> None:
    (data.parent / "data2").mkdir()
    (data / "b").symlink_to("../data2")
    with pytest.raises(DataError, match="leads out"):
        refuse_links_out(data, [data])


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_every_kind_of_dataset_refuses_before_it_reads(kind: str, tmp_path: Path, store: Path) -> None:
    """The layouts are empty but for the link: whatever is read first would complain of something else."""
    root = tmp_path / "set"
    for folder in ("images", "masks", "labels", "annotations", "JPEGImages", "SegmentationObject", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    (root / "annotations" / "instances_train.json").write_text("{}")
    (root / "data.yaml").write_text("train: images\nnames: [cat]\n")
    (root / "images" / "a.png").symlink_to(store / "secret.png")
    config = CONFIGS[kind](root=str(root))
    with pytest.raises(DataError, match="leads out of"):
        open_datasets(config)
    config.follow_links = True
    with pytest.raises(DataError) as caught:
        open_datasets(config)
    assert "leads out" not in str(caught.value)


def test_folders_named_one_by_one_are_the_border_each(tmp_path: Path, store: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "file.json").write_text("{}")
    (tmp_path / "images" / "a.png").symlink_to(store / "secret.png")
    config = CocoConfig(train=SplitConfig(images=str(tmp_path / "images"), annotations=str(tmp_path / "file.json")))
    with pytest.raises(DataError, match=f"leads out of {tmp_path}/images"):
        open_datasets(config)


def test_check_data_refuses_too(tmp_path: Path, store: Path) -> None:
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "annotations").mkdir()
    (tmp_path / "set" / "annotations" / "instances_train.json").symlink_to(store / "secret.png")
    with pytest.raises(DataError, match="leads out of"):
        run_words(["dataset=coco", f"dataset.root={tmp_path}/set"])
