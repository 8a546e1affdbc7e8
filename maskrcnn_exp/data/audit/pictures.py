"""What the looks at the picture files mean: damaged files, sizes, EXIF, and kinds that are not plain RGB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.audit.entries import Entries
from maskrcnn_exp.data.audit.findings import Findings
from maskrcnn_exp.data.audit.look import Look
from maskrcnn_exp.data.coco_columns import Id

__all__ = ["check_kinds", "check_looks", "check_unreadable"]

_KINDS: Final[tuple[tuple[str, Callable[[Look], bool], str], ...]] = (
    (
        "grey-picture",
        lambda seen: seen.kind in ("1", "L", "LA", "La"),
        "One channel; read as the same value three times.",
    ),
    (
        "deep-picture",
        lambda seen: seen.kind.endswith(";16") or seen.kind.startswith("I"),
        "More than 8 bits per channel; read as 8: grey over its full range, colour by its higher byte.",
    ),
    ("float-picture", lambda seen: seen.kind == "F", "Floating point; 0 … 1 becomes 0 … 255."),
    ("transparent-picture", lambda seen: seen.transparent, "It has transparent pixels; it is laid over black."),
    (
        "alpha-picture",
        lambda seen: seen.kind.startswith(("RGBA", "LA", "PA")) and not seen.transparent,
        "A fourth channel that is opaque everywhere; it is ignored.",
    ),
    ("cmyk-picture", lambda seen: seen.kind == "CMYK", "Print colours (CMYK); read as RGB without a colour profile."),
    ("palette-picture", lambda seen: seen.kind in ("P", "PA"), "Palette colours; read as RGB."),
    ("several-frames", lambda seen: seen.frames > 1, "Several frames; only the first is read."),
)


def check_looks(case: Case, looks: Mapping[int, Look]) -> None:
    """Judge the files of a COCO file's entries; `looks` by the entry's place. Sets sizes and what is usable."""
    for number in check_unreadable(looks, case.entries.shown, case.findings):
        case.entries.usable[number] = False
        case.repairs.drop_image(number, f"its file cannot be read: {looks[number].problem}")
    readable = {number: seen for number, seen in looks.items() if not seen.problem}
    _set_sizes(case, readable)
    _check_sizes(case, readable)
    _check_exif(case, readable)
    check_kinds(readable, case.entries.shown, case.findings)


def check_unreadable(
    looks: Mapping[int, Look], shown: Callable[[list[int]], list[Id]], findings: Findings
) -> list[int]:
    """Return the pictures that cannot be read whole."""
    bad = [number for number, seen in looks.items() if seen.problem]
    if bad:
        says = f"The file is damaged or no picture; a run would stop at it. The first: {looks[bad[0]].problem}."
        to_do = "Put back the whole file, or let fix=PATH leave it out."
        findings.add("unreadable-picture", "error", "picture", shown(bad), says, to_do, bad)
    return bad


def check_kinds(looks: Mapping[int, Look], shown: Callable[[list[int]], list[Id]], findings: Findings) -> None:
    """Note the pictures that are not plain RGB, and how they are read."""
    for check, is_kind, says in _KINDS:
        numbers = [number for number, seen in looks.items() if is_kind(seen)]
        findings.add(check, "note", "picture", shown(numbers), says, "", numbers)


def _set_sizes(case: Case, looks: Mapping[int, Look]) -> None:
    entries = case.entries
    unknown = [number for number in looks if not entries.sizes[number].all()]
    says = "The entry has no width and height; they are read from the file."
    case.pictures("picture-without-size", "warning", unknown, says, "fix=PATH sets them.")
    for number in unknown:
        width, height = looks[number].shown
        entries.sizes[number] = height, width
        case.repairs.set_image(number, "width", width, f"width {width}, from the file")
        case.repairs.set_image(number, "height", height, f"height {height}, from the file")


def _check_sizes(case: Case, looks: Mapping[int, Look]) -> None:
    entries = case.entries
    other = [number for number, seen in looks.items() if _annotated(entries, number) not in (seen.shown, seen.size)]
    if not other:
        return
    example = f"{entries.names[other[0]]} has {_text(looks[other[0]].shown)} pixels"
    says = (
        f"The file has another size than its entry: {example}, annotated for {_text(_annotated(entries, other[0]))}. "
        f"Its masks would lie beside the objects, so it is left out.{_same_scale(entries, looks, other)}"
    )
    to_do = "Put back the pictures that were annotated, or let fix=PATH leave these out."
    case.pictures("picture-size", "error", other, says, to_do)
    for number in other:
        entries.usable[number] = False
        case.repairs.drop_image(number, f"the file has {_text(looks[number].shown)} pixels, not those of its entry")


def _check_exif(case: Case, looks: Mapping[int, Look]) -> None:
    entries = case.entries
    turned = [number for number, seen in looks.items() if seen.orientation in range(2, 9) and entries.usable[number]]
    unclear = [number for number in turned if looks[number].size == looks[number].shown]
    says = (
        "EXIF turns or mirrors the picture without changing its size, so the size cannot tell whether the masks were "
        "drawn on the stored or on the shown pixels. It is read as shown."
    )
    to_do = "Look at the contact sheet; where the masks lie wrong, save the picture without an EXIF orientation."
    case.pictures("exif-unclear", "warning", unclear, says, to_do)
    sized = [number for number in turned if number not in unclear]
    stored = [number for number in sized if _annotated(entries, number) == looks[number].size]
    says = "EXIF turns the picture, but the entry has the size of the stored pixels: it is read as stored."
    to_do = "Nothing for this program; others turn the picture and leave the masks where they are."
    case.pictures("exif-not-applied", "warning", stored, says, to_do)
    says = "EXIF turns the picture, and the entry has the turned size: it is read as shown."
    case.pictures("exif-applied", "note", [number for number in sized if number not in stored], says)


def _annotated(entries: Entries, number: int) -> tuple[int, int]:
    height, width = entries.sizes[number].tolist()
    return width, height


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _same_scale(entries: Entries, looks: Mapping[int, Look], numbers: list[int]) -> str:
    """A sentence where all the files have one factor to their entries, as after resizing a folder."""
    factors = set()
    for number in numbers:
        annotated, there = _annotated(entries, number), looks[number].shown
        factors |= {round(there[0] / annotated[0], 2), round(there[1] / annotated[1], 2)}
    if len(factors) > 1:
        return ""
    return f" All of them have {factors.pop():g} times the annotated size: they were resized after annotation."
