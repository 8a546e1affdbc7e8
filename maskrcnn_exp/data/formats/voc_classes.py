"""Which numbers in SegmentationClass mean which class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maskrcnn_exp.data.formats.voc_palette import VOID, colour_number, voc_numbers
from maskrcnn_exp.errors import DataError

__all__ = ["VocClasses", "read_classes"]

_VOC: Final = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep "
    "sofa train tvmonitor"
)
_VOC_COLOUR_OF_VOID: Final = colour_number(224, 224, 192)
_BACKGROUND: Final = ("background", "_background_", "__ignore__")


@dataclass(frozen=True)
class VocClasses:
    """The classes of a folder."""

    names: dict[int, str]  # by their number in SegmentationClass; without background and void
    number_of_colour: dict[int, int]  # for masks that are colour pictures
    note: str = ""


def read_classes(folder: Path) -> VocClasses:
    """Read CVAT's `labelmap.txt` or labelme's `class_names.txt`; where there is neither, the classes are VOC's own.

    Raises:
        DataError: the file names no classes.
    """
    colours = voc_numbers()
    if (folder / "labelmap.txt").is_file():
        return _of_labelmap(folder / "labelmap.txt")
    if (folder / "class_names.txt").is_file():
        listed = [name for name in _lines(folder / "class_names.txt") if name != "__ignore__"]
        # labelme's own list begins with the background, others leave it out.
        first = 0 if listed and listed[0] in _BACKGROUND else 1
        names = {number: name for number, name in enumerate(listed, start=first) if name not in _BACKGROUND}
        return VocClasses(_some(names, folder / "class_names.txt"), colours)
    note = "There is no class_names.txt or labelmap.txt: the classes are Pascal VOC's twenty."
    return VocClasses(dict(enumerate(_VOC.split(), start=1)), colours, note)


def _of_labelmap(file: Path) -> VocClasses:
    """Lines `name:red,green,blue:parts:actions`; the classes are numbered in their order, without the background."""
    names: dict[int, str] = {}
    colours = {colour_number(0, 0, 0): 0, _VOC_COLOUR_OF_VOID: VOID}
    for line in _lines(file):
        name, _, rest = line.partition(":")
        try:
            red, green, blue = (int(part) for part in rest.partition(":")[0].split(","))
        except ValueError:
            raise DataError(f"{file}: {line!r:.100} is not `name:red,green,blue::`. Correct the line.") from None
        number = 0 if name in _BACKGROUND else len(names) + 1
        colours[colour_number(red, green, blue)] = number
        if number:
            names[number] = name
    return VocClasses(_some(names, file), colours)


def _some(names: dict[int, str], file: Path) -> dict[int, str]:
    if not names or max(names) >= VOID:
        raise DataError(f"{file}: {len(names)} classes. Expected 1 to 254, one per line.")
    return names


def _lines(file: Path) -> list[str]:
    lines = (line.strip() for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
