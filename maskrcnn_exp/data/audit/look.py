"""One picture file: what kind it is, whether it can be read whole, and a tiny copy to recognise it by.

Worker processes import this module, so it needs no torch.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from PIL import Image, ImageFile

from maskrcnn_exp.data.pictures import opened, orientation_of, read_pixels, shown_size, turned
from maskrcnn_exp.errors import DataError

__all__ = ["THUMBNAIL", "Look", "LookAtAll", "look", "look_at_all", "thumbnail_of"]

THUMBNAIL: Final = (17, 16)
"""Width and height of the tiny copy; 16 × 16 differences between neighbours."""

_POOL_FROM: Final = 200  # pictures; below, starting processes takes longer than reading
_PER_TASK: Final = 16  # pictures sent to a process at once
_DRAFT: Final = (64, 64)  # a JPEG is decoded no larger than needed for the tiny copy, several times faster


@dataclass(frozen=True)
class Look:
    """What was seen of one file; where `problem` is not empty only `digest` may be right."""

    problem: str = ""  # why it cannot be read
    size: tuple[int, int] = (0, 0)  # width and height, as stored
    shown: tuple[int, int] = (0, 0)  # width and height, EXIF applied
    orientation: int = 1  # EXIF
    kind: str = "RGB"  # PIL's mode, `;16` behind it where more than 8 bits per channel are stored
    frames: int = 1
    transparent: bool = False  # has pixels that are not opaque
    digest: bytes = b""  # of the file's bytes
    thumbnail: bytes = b""  # uint8 [16, 17], grey


LookAtAll = Callable[[Sequence[str]], list[Look]]
"""Reads picture files, with processes and a progress bar of the caller's choice."""


def look(path: str) -> Look:
    """Read one file whole. Nothing is raised: what is wrong is in the result."""
    place = Path(path)
    try:
        digest = hashlib.blake2b(place.read_bytes(), digest_size=16).digest()
    except OSError as error:
        return Look(problem=f"cannot be read: {error.strerror}")
    try:
        return _look(place, digest)
    except DataError as error:
        cause = error.__cause__
        return Look(problem=str(error) if cause is None else f"{type(cause).__name__}: {cause}", digest=digest)


def look_at_all(paths: Sequence[str], workers: int) -> Iterator[Look]:
    """Yield the looks at all files, in order; with processes of their own where that is worth it."""
    if workers < 2 or len(paths) < _POOL_FROM:
        yield from map(look, paths)
        return
    # Not forked: this process may have threads by now.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_ctrl_c_to_the_parent)
    try:
        yield from pool.map(look, paths, chunksize=_PER_TASK)
    finally:
        pool.shutdown(cancel_futures=True)


def thumbnail_of(grey: Image.Image) -> bytes:
    """The tiny copy of a picture of mode L."""
    return grey.resize(THUMBNAIL, Image.Resampling.BOX).tobytes()


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _look(path: Path, digest: bytes) -> Look:
    with opened(path) as picture:
        kind = picture.mode + (";16" if _is_deep(picture) else "")
        size, orientation = picture.size, orientation_of(picture)
        quick = picture.format == "JPEG" and picture.mode in ("RGB", "L")
        if quick:
            picture.draft("L", _DRAFT)
            grey = turned(picture.convert("L"), orientation)  # reads to the end: a truncated file is found
        else:
            picture.load()
        transparent = not quick and picture.has_transparency_data and _lowest_alpha(picture) < 255
        frames = _frames(picture)
    if not quick:
        grey = Image.fromarray(read_pixels(path)).convert("L")  # as training reads it, and refuses it
    return Look(
        size=size,
        shown=shown_size(size, orientation),
        orientation=orientation,
        kind=kind,
        frames=frames,
        transparent=transparent,
        digest=digest,
        thumbnail=thumbnail_of(grey),
    )


def _is_deep(picture: Image.Image) -> bool:
    """More than 8 bits per channel in a mode that has 8; only before loading or asking for EXIF, which forget it."""
    return any(";16" in str(tile[3]) for tile in picture.tile) if isinstance(picture, ImageFile.ImageFile) else False


def _lowest_alpha(picture: Image.Image) -> int:
    straight = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode, picture.mode)
    lowest, _ = picture.convert(straight).convert("RGBA").getchannel("A").getextrema()
    return int(lowest)  # type: ignore[arg-type]  # one channel has two numbers


def _frames(picture: Image.Image) -> int:
    try:
        return int(getattr(picture, "n_frames", 1))
    except (OSError, EOFError, SyntaxError, ValueError):  # later frames are damaged; the first is what counts
        return 1
