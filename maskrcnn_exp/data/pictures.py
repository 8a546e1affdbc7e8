"""Any picture file as 8-bit RGB, the way a viewer shows it.

How the kinds of pictures become RGB:

| stored                                  | read as                                                             |
|-----------------------------------------|---------------------------------------------------------------------|
| grey, 1-bit                             | the same value three times; 1-bit is 0 and 255                      |
| palette                                 | its colours                                                         |
| alpha or a transparent colour           | laid over black                                                     |
| 16-bit grey                             | its full range 0 … 65535 becomes 0 … 255, never clipped             |
| 32-bit whole numbers                    | as 16-bit grey where all lie in 0 … 65535, otherwise an error       |
| floating point                          | 0 … 1 becomes 0 … 255 where all lie in 0 … 1, otherwise an error    |
| CMYK, YCbCr, HSV, …                     | as PIL converts it                                                  |
| several frames                          | the first                                                           |

EXIF: a picture is read as viewers show it, its EXIF orientation applied, in any format. The one exception:
where the size in the annotation file fits only the stored pixels, the stored pixels are kept, because the
masks were drawn on them. PIL turns TIFF files by itself, so those are always read as shown.

A file is opened as one of `_FORMATS` or not at all, whatever it is called: PIL hands EPS to ghostscript, a program of
its own, and WMF, BUFR, GRIB and HDF5 to whoever registered for them.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL import __version__ as pil_version

from maskrcnn_exp.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "DAMAGED",
    "known_formats",
    "opened",
    "orientation_of",
    "picture_size",
    "read_pixels",
    "read_rgb",
    "shown_size",
    "turned",
]

_FORMATS: Final = (
    *("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "AVIF", "JPEG2000", "PPM", "DIB", "DDS", "FITS", "ICNS", "ICO"),
    *("PCX", "PSD", "QOI", "SGI", "SUN", "TGA"),
)
_ORIENTATION_TAG = 274
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)
# PIL's parsers meet damaged bytes with whatever the line at fault happens to raise.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    AttributeError,
    struct.error,
    zlib.error,
    MemoryError,
    Image.DecompressionBombError,
)


def read_rgb(path: Path, annotated_size: tuple[int, int] | None = None) -> Tensor:
    """Read a picture as uint8 [3, h, w], RGB, turned as viewers show it.

    Args:
        path: Any file that PIL opens.
        annotated_size: (width, height) from the annotation file; decides whether EXIF is followed.

    Raises:
        DataError: the file is missing, damaged, too large, of an unclear value range, or of another size.
    """
    import torch  # here, so that processes that only look at pictures start without it

    pixels = read_pixels(path, annotated_size)  # [h, w, 3]
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))  # [3, h, w]


def read_pixels(path: Path, annotated_size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Read a picture as `read_rgb` does, as a read-only array uint8 [h, w, 3]."""
    with opened(path) as picture:
        picture.load()
        orientation = orientation_of(picture)
        if _keeps_stored_pixels(path, picture.size, orientation, annotated_size):
            return _rgb_pixels(picture, path)
        return _rgb_pixels(turned(picture, orientation), path)


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """Return the picture as viewers show it; itself for an EXIF orientation without a turn."""
    return picture.transpose(_TURN[orientation]) if orientation in _TURN else picture


def picture_size(path: Path, annotated_size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return the (width, height) that `read_rgb` would give, from the file's header.

    A PNG whose size is not the annotated one is decoded, as its EXIF may stand behind the pixels.
    Raises DataError as `read_rgb` does.
    """
    with opened(path) as picture:
        stored = picture.size
        if annotated_size is not None and stored == tuple(annotated_size):
            return stored
        orientation = orientation_of(picture)
        if _keeps_stored_pixels(path, stored, orientation, annotated_size):
            return stored
        return shown_size(stored, orientation)


@cache
def known_formats() -> tuple[str, ...]:
    """Return what PIL may open: those of `_FORMATS` that it was built with."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open with PIL; everything that PIL may raise on the way becomes one DataError that names the file."""
    # PIL warns of large pictures and odd EXIF, each time; neither changes what is read.
    with warnings.catch_warnings(action="ignore"):
        try:
            if not path.is_file() and path.exists():  # a pipe would be waited for
                raise OSError("it is no file")
            with Image.open(path, formats=known_formats()) as picture:
                yield picture
        except FileNotFoundError as error:
            raise DataError(
                f"{path}: there is no such picture. Check the image folder and file_name in the annotations."
            ) from error
        except DAMAGED as error:
            raise DataError(
                f"{path}: the picture cannot be read ({type(error).__name__}: {error}). "
                f"Expected a whole file of one of the kinds {', '.join(known_formats())} (PIL {pil_version}). "
                "Replace the file or leave it out."
            ) from error


def orientation_of(picture: Image.Image) -> int:
    """Return the EXIF orientation that is still to be applied, 1 for none."""
    if picture.format == "TIFF":
        return 1
    try:
        return int(picture.getexif().get(_ORIENTATION_TAG, 1))
    except DAMAGED:  # damaged EXIF beside good pixels: viewers show the stored pixels
        return 1


def shown_size(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return (width, height) as viewers show a picture of the stored (width, height)."""
    return (stored[1], stored[0]) if orientation in _SWAPS_SIDES else stored


def _keeps_stored_pixels(
    path: Path, stored: tuple[int, int], orientation: int, annotated: tuple[int, int] | None
) -> bool:
    """True where the annotations fit the stored pixels only. Raises DataError where they fit neither."""
    shown = shown_size(stored, orientation)
    if annotated is None or tuple(annotated) == shown:
        return False
    if tuple(annotated) == stored:
        return True
    turned = "" if shown == stored else f" ({stored[0]}×{stored[1]} before its EXIF orientation is applied)"
    raise DataError(
        f"{path}: the picture is {shown[0]}×{shown[1]} pixels{turned}, "
        f"but its annotations are for {annotated[0]}×{annotated[1]} (width×height). "
        "Put back the picture that was annotated, or correct the size and the masks in the annotation file."
    )


def _rgb_pixels(picture: Image.Image, path: Path) -> npt.NDArray[np.uint8]:
    """uint8 [h, w, 3]; see the table at the top of this file."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return np.repeat(_eight_bit_grey(np.asarray(picture), path)[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        straight = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode, picture.mode)
        layered = picture.convert(straight).convert("RGBA")
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(black, layered).convert("RGB"))
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _eight_bit_grey(values: npt.NDArray[np.generic], path: Path) -> npt.NDArray[np.uint8]:
    """Scale [h, w] of more than 8 bits to uint8 without clipping."""
    full_range = 1.0 if np.issubdtype(values.dtype, np.floating) else 65535.0
    wide = values.astype(np.float32)
    if not (wide.min() >= 0 and wide.max() <= full_range):  # written so that NaN is refused too
        raise DataError(
            f"{path}: values run from {wide.min():g} to {wide.max():g}, stored as {values.dtype}. "
            f"Expected 0 to {full_range:g}, which becomes 0 to 255. Save the picture with 8 or 16 bits."
        )
    scaled: npt.NDArray[np.float32] = np.rint(wide * np.float32(255.0 / full_range))
    return scaled.astype(np.uint8)
