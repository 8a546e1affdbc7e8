"""The same picture twice, and nearly the same in training and validation."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from maskrcnn_exp.data.audit.duplicates import alike_pairs
from maskrcnn_exp.data.audit.look import look
from tests.data.audit.audits import audit, checks, finding
from tests.data.coco_files import annotation, image, write_coco
from tests.shared_data import SHARED, needs_shared_data


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Blobs of colour, as different from seed to seed as photos are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def two_files(folder: Path, train: list[Image.Image], val: list[Image.Image]) -> tuple[Path, Path]:
    paths = []
    for name, pictures in (("train", train), ("val", val)):
        images = []
        for number, picture in enumerate(pictures):
            picture.save(folder / f"{name}_{number}.png")
            size = {"width": picture.width, "height": picture.height}
            images.append(image(f"{name}_{number}", file_name=f"{name}_{number}.png", **size))
        entries = [annotation(1, f"{name}_0")]
        path = write_coco(folder, images, entries)
        paths.append(path.rename(folder / f"{name}.json"))
    return paths[0], paths[1]


def test_files_of_the_same_bytes_are_found_within_and_across_the_splits(tmp_path: Path) -> None:
    train, val = two_files(tmp_path, [scene(1), scene(2), scene(1)], [scene(3), scene(2)])
    audited = audit(train, tmp_path, val)
    assert finding(audited, "same-picture-twice").ids == ("train_2",)
    leak = finding(audited, "picture-in-train-and-val")
    assert (leak.severity, leak.ids) == ("warning", ("val_1",))
    assert "val_1.png = train_1.png" in leak.says
    assert "near-duplicate-in-train" not in checks(audited)


def test_a_smaller_brighter_copy_is_found_and_a_different_picture_is_not(tmp_path: Path) -> None:
    copy = ImageEnhance.Brightness(scene(1).resize((96, 72))).enhance(1.2)
    train, val = two_files(tmp_path, [scene(1), scene(2)], [scene(3), copy])
    audited = audit(train, tmp_path, val)
    assert finding(audited, "near-duplicate-in-train").ids == ("val_1",)
    assert "val_1.png = train_0.png" in finding(audited, "near-duplicate-in-train").says


def test_pictures_that_share_their_light_alone_are_not_alike(tmp_path: Path) -> None:
    """Dark left and bright right, with other textures: the correlation is 0.99, the details have nothing in common."""

    def lit(seed: int) -> Image.Image:
        texture = np.asarray(scene(seed)).astype(np.float64) / 255 * 16
        light = np.where(np.arange(160) < 80, 40, 200)[None, :, None]
        return Image.fromarray((light + texture).astype(np.uint8))

    train, val = two_files(tmp_path, [lit(1), lit(2)], [lit(3), lit(4)])
    assert "near-duplicate-in-train" not in checks(audit(train, tmp_path, val))


def test_flat_pictures_are_not_alike(tmp_path: Path) -> None:
    train, val = two_files(tmp_path, [Image.new("RGB", (160, 120), "black")], [Image.new("RGB", (160, 120), (3, 3, 3))])
    assert "near-duplicate-in-train" not in checks(audit(train, tmp_path, val))


@needs_shared_data
@pytest.mark.parametrize("name", ["balloon", "coco_mini"])
def test_no_two_real_pictures_are_taken_for_one_and_their_copies_are_found(name: str, tmp_path: Path) -> None:
    paths = sorted((SHARED / name / "images").iterdir())[::3]
    looks = {number: look(str(path)) for number, path in enumerate(paths)}
    halves = list(looks)[::2], list(looks)[1::2]
    assert alike_pairs(looks, halves[0], looks, halves[1]) == {}
    copies = {}
    for number, path in itertools.islice(enumerate(paths), 10):
        with Image.open(path) as picture:
            picture.convert("RGB").resize((picture.width // 2, picture.height // 2)).save(
                tmp_path / "copy.jpg", quality=50
            )
        copies[number] = look(str(tmp_path / "copy.jpg"))
    assert alike_pairs(looks, list(looks), copies, list(copies)) == {number: number for number in copies}


def test_one_file_divided_by_training_is_compared_with_itself(tmp_path: Path) -> None:
    images = [image(number, file_name=f"{number}.png", width=160, height=120) for number in range(1, 9)]
    scene(1).save(tmp_path / "1.png")
    for number in range(2, 9):
        shutil.copy(tmp_path / "1.png", tmp_path / f"{number}.png")
    path = write_coco(tmp_path, images, [annotation(number, number) for number in range(1, 9)])
    assert finding(audit(path, tmp_path), "picture-in-train-and-val").count == 4  # half of them is held out
