"""Picture files: missing, elsewhere, damaged, of another size, turned, and of other kinds than RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn_exp.data.audit.look import look, look_at_all
from tests.data.audit.audits import audit, checks, finding, polygon
from tests.data.coco_files import annotation, image, write_coco, write_picture
from tests.shared_data import SHARED, needs_shared_data

KINDS = {
    "grey-picture",
    "deep-picture",
    "float-picture",
    "transparent-picture",
    "alpha-picture",
    "cmyk-picture",
    "palette-picture",
    "several-frames",
}


def save(path: Path, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 20, 4), dtype=np.uint8)
    picture = Image.fromarray(noise if "A" in mode else noise[:, :, :3])
    picture.convert(mode).save(path)


def with_exif(path: Path, orientation: int, width: int = 20, height: int = 10) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, exif=exif)


def test_missing_files_are_an_error_and_files_elsewhere_another(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1), image(2), image(3)], [annotation(1, 1)])
    (tmp_path / "2.png").unlink()
    (tmp_path / "images").mkdir()
    (tmp_path / "3.png").rename(tmp_path / "images/3.png")
    audited = audit(path, tmp_path)
    assert finding(audited, "missing-file").ids == (2,)
    assert finding(audited, "file-elsewhere").ids == (3,)
    assert "images/3.png" in finding(audited, "file-elsewhere").says


def test_a_name_that_two_files_below_the_folder_have_is_missing_not_elsewhere(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1), image(2)], [annotation(1, 1)])
    (tmp_path / "2.png").unlink()
    for folder in ("a", "b"):
        write_picture(tmp_path / folder / "2.png")
    assert finding(audit(path, tmp_path), "missing-file").ids == (2,)


def test_one_file_is_not_given_to_two_entries(tmp_path: Path) -> None:
    images = [image(1), image(2, file_name="a/x.png"), image(3, file_name="b/x.png")]
    path = write_coco(tmp_path, images, [annotation(1, 1)])
    (tmp_path / "a/x.png").rename(tmp_path / "x.png")
    (tmp_path / "b/x.png").unlink()
    assert finding(audit(path, tmp_path), "missing-file").ids == (2, 3)


def test_a_wrong_folder_is_named_with_what_it_holds(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1)], [annotation(1, 1)])
    (tmp_path / "other").mkdir()
    write_picture(tmp_path / "other/x.png")
    assert "which holds: x.png" in finding(audit(path, tmp_path / "other"), "missing-file").says
    assert finding(audit(path, tmp_path / "absent"), "no-picture-folder").severity == "error"


def test_a_truncated_file_is_an_error_although_it_opens(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1), image(2, file_name="2.jpg")], [annotation(1, 1)])
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (10, 20, 3), dtype=np.uint8)).save(tmp_path / "2.jpg")
    whole = (tmp_path / "2.jpg").read_bytes()
    (tmp_path / "2.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    found = finding(audit(path, tmp_path), "unreadable-picture")
    assert found.ids == (2,)
    assert "Truncated" in found.says


def test_another_size_than_annotated_is_an_error_and_one_factor_is_named(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1), image(2), image(3)], [annotation(1, 1)])
    for number in (2, 3):
        write_picture(tmp_path / f"{number}.png", 10, 5)
    found = finding(audit(path, tmp_path), "picture-size")
    assert found.ids == (2, 3)
    assert "0.5 times" in found.says


def test_an_absent_size_is_read_from_the_file(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1, width=None)], [annotation(1, 1)])
    audited = audit(path, tmp_path)
    assert finding(audited, "picture-without-size").severity == "warning"
    assert audited.splits[0].sizes.tolist() == [[10, 20]]
    assert finding(audit(path), "picture-without-size").severity == "error"


@pytest.mark.parametrize(
    ("orientation", "annotated", "check"),
    [
        (6, (10, 20), "exif-applied"),
        (6, (20, 10), "exif-not-applied"),
        (3, (20, 10), "exif-unclear"),
        (1, (20, 10), None),
        (6, (30, 10), "picture-size"),
    ],
)
def test_exif_is_told_by_the_annotated_size(
    orientation: int, annotated: tuple[int, int], check: str | None, tmp_path: Path
) -> None:
    with_exif(tmp_path / "1.png", orientation)
    path = write_coco(tmp_path, [image(1, width=annotated[0], height=annotated[1])], [annotation(1, 1)])
    found = {"exif-applied", "exif-not-applied", "exif-unclear", "picture-size"} & checks(audit(path, tmp_path))
    assert found == ({check} if check else set())


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ("RGB", set()),
        ("L", {"grey-picture"}),
        ("1", {"grey-picture"}),
        ("P", {"palette-picture"}),
        ("RGBA", {"transparent-picture"}),
        ("LA", {"grey-picture", "transparent-picture"}),
        ("I;16", {"deep-picture"}),
    ],
)
def test_kinds_of_pictures_are_noted(mode: str, kinds: set[str], tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1)], [annotation(1, 1)])
    if mode == "I;16":
        Image.fromarray(np.full((10, 20), 40_000, dtype=np.uint16)).save(tmp_path / "1.png")
    else:
        save(tmp_path / "1.png", mode)
    assert KINDS & checks(audit(path, tmp_path), "note") == kinds


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exif_Landscape_6.jpg", {"orientation": 6, "size": (400, 600), "shown": (600, 400)}),
        ("pillow_apng_16bit.png", {"kind": "RGBA;16", "frames": 3, "transparent": False}),
        ("pillow_hopper_gray.jpg", {"kind": "L"}),
        ("pillow_pil_sample_cmyk.jpg", {"kind": "CMYK"}),
        ("pillow_hopper.gif", {"kind": "P"}),
        ("pillow_transparent.png", {"kind": "RGBA", "transparent": True}),
    ],
)
def test_real_files_are_seen_for_what_they_are(name: str, expected: dict[str, object]) -> None:
    seen = look(str(SHARED / "defects/images" / name))
    assert seen.problem == ""
    assert {key: getattr(seen, key) for key in expected} == expected


@needs_shared_data
@pytest.mark.parametrize("name", ["pillow_broken.png", "pillow_truncated_jpeg.jpg"])
def test_real_damaged_files_have_a_problem(name: str) -> None:
    assert look(str(SHARED / "defects/images" / name)).problem


def test_many_pictures_are_read_by_processes_of_their_own_in_order(tmp_path: Path) -> None:
    paths = []
    for number in range(200):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.new("L", (1 + number, 2)).save(paths[-1])
    assert [seen.size[0] for seen in look_at_all(paths, workers=2)] == list(range(1, 201))


def test_without_reading_pictures_their_presence_is_still_checked(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [image(1), image(2)], [annotation(1, 1, segmentation=polygon(2, 3, 8, 7))])
    (tmp_path / "1.png").write_bytes(b"no picture")
    (tmp_path / "2.png").unlink()
    found = checks(audit(path, tmp_path, pictures=False), "error")
    assert found == {"missing-file"}
