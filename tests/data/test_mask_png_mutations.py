"""Folders of masks that somebody spoilt: a result, or one message that names the file; nothing is lost in silence."""

from __future__ import annotations

import os
import random
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image

from maskrcnn_exp.data.mask_png import MaskPngDataset
from maskrcnn_exp.errors import DataError

NAMES: Final = ("a", "b", "c")
SIDE: Final = 24


def write_whole(root: Path) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number, name in enumerate(NAMES):
        Image.fromarray(np.full((SIDE, SIDE, 3), 40 * number, np.uint8)).save(root / f"images/{name}.png")
        ids = np.zeros((SIDE, SIDE), np.uint8)
        ids[2:9, 3 : 8 + number], ids[12:20, 5:15] = 1, 2
        Image.fromarray(ids).save(root / f"masks/{name}.png")


def some_bytes(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


def cut(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def rubbish(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(rng.randrange(500)))


def another_mode(path: Path, rng: random.Random) -> None:
    """Palette, 1-bit, 16-bit, colour, with alpha, 32-bit whole numbers: some are read, some refused."""
    with Image.open(path) as picture:
        grey = picture.convert("L")
    mode = rng.choice(("P", "1", "RGB", "RGBA", "LA", "I;16"))
    changed = Image.fromarray(np.asarray(grey).astype(np.uint16) * 300) if mode == "I;16" else grey.convert(mode)
    changed.save(path)


def another_kind(path: Path, rng: random.Random) -> None:
    with Image.open(path) as picture:
        grey = picture.convert("L")
    with path.open("wb") as file:
        grey.save(file, rng.choice(("TIFF", "BMP", "GIF", "JPEG", "PDF", "EPS")))


def noise(path: Path, rng: random.Random) -> None:
    """As many instances as there are pixels."""
    side = rng.choice((SIDE, 300))
    values = np.random.default_rng(rng.randrange(2**32)).integers(0, 65536, (side, side), dtype=np.uint16)
    Image.fromarray(values).save(path)


def another_size(path: Path, rng: random.Random) -> None:
    with Image.open(path) as picture:
        changed = picture.resize((rng.randint(1, 40), rng.randint(1, 40)), Image.Resampling.NEAREST)
    changed.save(path)


def huge_header(path: Path, rng: random.Random) -> None:
    """Says that it is up to 2³¹ pixels wide, with the right sum; no pixels for it."""
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", *(rng.choice((0, SIDE, 60_000, 2**31 - 1)) for _ in range(2)))
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


def one_value(path: Path, rng: random.Random) -> None:
    Image.new("L", (SIDE, SIDE), rng.choice((0, 1, 255))).save(path)


def missing(path: Path, rng: random.Random) -> None:
    path.unlink()


def no_file(path: Path, rng: random.Random) -> None:
    path.unlink()
    kind = rng.choice(("folder", "pipe", "link to nothing", "link to itself"))
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nothing" if kind == "link to nothing" else path.name)


MUTATIONS: Final[tuple[Callable[[Path, random.Random], None], ...]] = (
    *(some_bytes, cut, rubbish, another_mode, another_kind, noise, another_size, huge_header, one_value),
    *(missing, no_file),
)


def named(error: DataError, path: Path, outcome: str) -> str:
    assert str(path) in str(error)
    return outcome


def read_all(root: Path) -> str:
    """Return what came of it; raise what is neither a result nor a message."""
    try:
        dataset = MaskPngDataset.open(root / "images", root / "masks")
    except DataError as error:
        return named(error, root, "refused")
    left_out = [name for names in dataset.summary().left_out.values() for name in names]
    found = [dataset.image_id(index) for index in range(len(dataset))]
    there = [path.name for path in (root / "images").iterdir()]
    assert sorted([*left_out, *found]) == sorted(there)
    for index in range(len(dataset)):
        try:
            sample = dataset.load(index)
        except DataError as error:  # only a picture's pixels are not looked at before
            return named(error, root / "images" / dataset.image_id(index), "picture refused")
        masks = sample.target["masks"]
        assert masks.shape[1:] == sample.image.shape[1:]
        assert masks.any(dim=(1, 2)).all() if len(masks) else True
    return "left out" if left_out else "used"


def try_mutations(tmp_path: Path, cases: int, seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    outcomes: dict[str, int] = {}
    for case in range(cases):
        root = tmp_path / str(case)
        write_whole(root)
        mutation = MUTATIONS[case % len(MUTATIONS)]
        for _ in range(rng.randint(1, 3)):
            path = root / rng.choice(("masks", "masks", "images")) / f"{rng.choice(NAMES)}.png"
            if path.is_file():
                with suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # spoilt already
                    mutation(path, rng)
        try:
            outcome = read_all(root)
        except Exception as error:
            raise AssertionError(f"case {case}, seed {seed}: {mutation.__name__}, in {root}") from error
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def test_a_spoilt_folder_of_masks_is_used_or_refused_by_name(tmp_path: Path) -> None:
    outcomes = try_mutations(tmp_path, cases=88, seed=0)
    assert min(outcomes[what] for what in ("used", "left out")) > 5, outcomes


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_thousands_of_spoilt_folders_of_masks_are_used_or_refused_by_name(tmp_path: Path) -> None:
    outcomes = try_mutations(tmp_path, cases=5_000, seed=1)
    print(f"\n{outcomes}")
