"""Any picture file becomes 8-bit RGB as a viewer shows it, or one error that names the file."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn_exp.data.pictures import picture_size, read_rgb
from maskrcnn_exp.errors import DataError
from tests.shared_data import SHARED, needs_shared_data

DEFECTS = SHARED / "defects" / "images"


def saved(folder: Path, picture: Image.Image, name: str = "picture.png", **options: object) -> Path:
    path = folder / name
    picture.save(path, **options)  # type: ignore[arg-type]
    return path


def with_orientation(folder: Path, orientation: int, name: str) -> Path:
    """2 wide, 1 high: red, blue; then turned by the viewer."""
    picture = Image.new("RGB", (16, 8), (255, 0, 0))
    picture.paste((0, 0, 255), (8, 0, 16, 8))
    exif = Image.Exif()
    exif[274] = orientation
    return saved(folder, picture, name, exif=exif)


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("exif_Landscape_1.jpg", (600, 400)),
        ("exif_Landscape_6.jpg", (600, 400)),  # stored 400×600
        ("pillow_apng_16bit.png", (128, 64)),
        ("pillow_bw_gradient.png", (256, 10)),
        ("pillow_hopper.gif", (128, 128)),
        ("pillow_hopper_gray.jpg", (128, 128)),
        ("pillow_hopper_orientation_3.jpg", (128, 128)),
        ("pillow_pil_sample_cmyk.jpg", (100, 100)),
        ("pillow_transparent.png", (200, 150)),
    ],
)
def test_real_odd_pictures_are_read(name: str, size: tuple[int, int]) -> None:
    image = read_rgb(DEFECTS / name)
    assert tuple(image.shape) == (3, size[1], size[0])
    assert picture_size(DEFECTS / name) == size


@needs_shared_data
@pytest.mark.parametrize("name", ["pillow_broken.png", "pillow_truncated_jpeg.jpg"])
def test_real_damaged_pictures_are_one_error_that_names_the_file(name: str) -> None:
    with pytest.raises(DataError, match=name):
        read_rgb(DEFECTS / name)


@needs_shared_data
def test_a_turned_photo_looks_like_the_upright_one() -> None:
    upright, turned = (read_rgb(DEFECTS / f"exif_Landscape_{number}.jpg").float() for number in (1, 6))
    assert (upright - turned).abs().mean() < 10  # JPEG differences only; unturned it is 60 and more


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_exif_is_followed_in_every_format(tmp_path: Path, ending: str) -> None:
    """Orientation 6 shows the stored picture turned right: red, on the left, comes to the top."""
    path = with_orientation(tmp_path, 6, f"turned.{ending}")
    image = read_rgb(path)
    assert tuple(image.shape) == (3, 16, 8)
    assert picture_size(path) == (8, 16)
    assert image[0, 2].float().mean() > 200 > 60 > image[2, 2].float().mean()  # red above
    assert image[2, 13].float().mean() > 200  # blue below


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_stored_pixels_are_kept_where_only_they_fit_the_annotations(tmp_path: Path, ending: str) -> None:
    path = with_orientation(tmp_path, 6, f"turned.{ending}")
    image = read_rgb(path, annotated_size=(16, 8))
    assert tuple(image.shape) == (3, 8, 16)
    assert image[0, :, 2].float().mean() > 200  # red on the left
    assert picture_size(path, (16, 8)) == (16, 8)
    assert tuple(read_rgb(path, annotated_size=(8, 16)).shape) == (3, 16, 8)


def test_exif_is_followed_where_both_sizes_fit(tmp_path: Path) -> None:
    path = with_orientation(tmp_path, 3, "upside_down.png")
    image = read_rgb(path, annotated_size=(16, 8))
    assert image[2, :, 2].min() == 255  # blue came to the left


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_are_turned_as_pil_turns_them(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    path = with_orientation(tmp_path, orientation, "turned.png")
    with Image.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture)).transpose(2, 0, 1)
    assert np.array_equal(read_rgb(path).numpy(), expected)


def test_a_size_that_fits_nothing_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = with_orientation(tmp_path, 6, "turned.png")
    for read in (read_rgb, picture_size):
        with pytest.raises(DataError, match=r"turned\.png.*8×16.*16×8.*20×10"):
            read(path, (20, 10))


def test_sixteen_bit_grey_keeps_its_full_range(tmp_path: Path) -> None:
    values = np.array([[0, 256, 25700, 65535]], dtype=np.uint16)
    image = read_rgb(saved(tmp_path, Image.fromarray(values)))
    assert image[:, 0].tolist() == [[0, 1, 100, 255]] * 3  # value / 257, not clipped at 255


def test_thirty_two_bits_are_read_as_sixteen_or_refused(tmp_path: Path) -> None:
    fine = saved(tmp_path, Image.fromarray(np.array([[0, 65535]], dtype=np.int32)), "fine.tif")
    assert read_rgb(fine)[0].tolist() == [[0, 255]]
    with pytest.raises(DataError, match=r"wide\.tif.*0 to 70000"):
        read_rgb(saved(tmp_path, Image.fromarray(np.array([[0, 70000]], dtype=np.int32)), "wide.tif"))


@pytest.mark.parametrize("bad", [255.0, -0.1, np.nan])
def test_floating_point_pictures_must_lie_between_zero_and_one(tmp_path: Path, bad: float) -> None:
    fine = saved(tmp_path, Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32)), "fine.tif")
    assert read_rgb(fine)[1].tolist() == [[0, 128, 255]]
    with pytest.raises(DataError, match=r"bad\.tif.*Expected 0 to 1"):
        read_rgb(saved(tmp_path, Image.fromarray(np.array([[0.0, bad]], dtype=np.float32)), "bad.tif"))


def test_grey_one_bit_and_palette_become_rgb(tmp_path: Path) -> None:
    grey = Image.fromarray(np.array([[7, 200]], dtype=np.uint8))
    assert read_rgb(saved(tmp_path, grey, "grey.png"))[:, 0].tolist() == [[7, 200]] * 3
    assert read_rgb(saved(tmp_path, grey.convert("1"), "bits.png"))[:, 0].tolist() == [[0, 255]] * 3
    palette = Image.new("P", (1, 1), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert read_rgb(saved(tmp_path, palette, "palette.png"))[:, 0, 0].tolist() == [10, 20, 30]


def test_transparency_is_laid_over_black(tmp_path: Path) -> None:
    rgba = Image.fromarray(np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]], dtype=np.uint8))
    assert read_rgb(saved(tmp_path, rgba, "rgba.png"))[0, 0].tolist() == [200, 0, 100]
    grey = Image.fromarray(np.array([[[80, 255], [80, 0]]], dtype=np.uint8), mode="LA")
    assert read_rgb(saved(tmp_path, grey, "la.png"))[0, 0].tolist() == [80, 0]
    palette = Image.new("P", (1, 1), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert read_rgb(saved(tmp_path, palette, "p.png", transparency=1))[:, 0, 0].tolist() == [0, 0, 0]
    colour_key = Image.new("RGB", (1, 1), (9, 9, 9))
    assert read_rgb(saved(tmp_path, colour_key, "key.png", transparency=(9, 9, 9)))[:, 0, 0].tolist() == [0, 0, 0]


def test_every_cut_of_a_file_is_a_data_error_or_a_picture(tmp_path: Path) -> None:
    """Damage at any byte must not come through as something else than DataError."""
    rng = np.random.default_rng(0)
    for ending in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(buffer, ending)
        whole = buffer.getvalue()
        for length in range(0, len(whole), 7):
            broken = bytearray(whole[:length])
            if length > 20:
                broken[int(rng.integers(length))] ^= 0xFF
            path = tmp_path / f"cut.{ending}"
            path.write_bytes(bytes(broken))
            with contextlib.suppress(DataError):
                assert read_rgb(path).shape[0] == 3


def test_bombs_are_refused_and_large_pictures_do_not_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, Image.new("L", (40, 40)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # PIL warns from here on
        assert picture_size(path) == (40, 40)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)  # and refuses twice as much
        with pytest.raises(DataError, match=r"picture\.png.*DecompressionBomb"):
            picture_size(path)


def test_a_missing_picture_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.png: there is no such picture"):
        read_rgb(tmp_path / "nothing.png")
    with pytest.raises(DataError, match="cannot be read"):
        read_rgb(tmp_path)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
WMF = (
    b"\xd7\xcd\xc6\x9a\x00\x00" + b"\x00\x00\x00\x00\x08\x00\x08\x00\x60\x00" + bytes(6) + b"\x01\x00\t\x00" + bytes(40)
)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(EPS, "EPS"), (WMF, "WMF"), (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5")],
    ids=["EPS", "WMF", "HDF5"],
)
def test_a_kind_that_another_program_decodes_is_not_opened_whatever_the_file_is_called(
    tmp_path: Path, content: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(subprocess, "check_call", lambda *words, **_: started.append(words))
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with Image.open(path) as without_us:  # PIL itself takes it for what it is
        assert without_us.format == kind
    for read in (read_rgb, picture_size):
        with pytest.raises(DataError, match=r"picture\.png: the picture cannot be read"):
            read(path)
    assert not started


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    os.mkfifo(path)
    with pytest.raises(DataError, match="it is no file"):
        read_rgb(path)


def exif_with(kind: int, count: int, value: bytes) -> bytes:
    """EXIF whose one entry is the orientation, of a type and with a count of its own."""
    entry = struct.pack("<HHI", 274, kind, count) + value.ljust(4, b"\0")
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


SHORT, LONG, ASCII, RATIONAL, NO_TYPE = 3, 4, 2, 5, 99


@pytest.mark.parametrize(
    "exif",
    [
        *(exif_with(SHORT, 1, struct.pack("<H", value)) for value in (0, 9, 65535)),
        exif_with(LONG, 1, struct.pack("<I", 2**32 - 1)),
        exif_with(SHORT, 2**31, struct.pack("<I", 6)),
        exif_with(ASCII, 4, b"top"),
        exif_with(RATIONAL, 1, struct.pack("<I", 2**31)),
        exif_with(NO_TYPE, 1, b"\x06"),
        exif_with(SHORT, 1, b"\x06")[:20],
        b"Exif\0\0" + bytes(range(200)),
    ],
    ids=["0", "9", "65535", "long", "many", "text", "elsewhere", "no type", "cut", "rubbish"],
)
def test_an_absurd_orientation_shows_the_stored_pixels(tmp_path: Path, exif: bytes) -> None:
    path = saved(tmp_path, Image.new("RGB", (16, 8)), "odd.jpg", exif=exif)
    assert picture_size(path) == (16, 8)
    assert tuple(read_rgb(path).shape) == (3, 8, 16)


def test_a_header_of_billions_of_pixels_is_refused_before_any_is_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("L", (8, 8)))
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 100_000, 100_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    for read in (read_rgb, picture_size):
        with pytest.raises(DataError, match=r"picture\.png.*DecompressionBomb"):
            read(path)
