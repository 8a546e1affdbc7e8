"""Where the picture files are: in the folder, elsewhere below it, or nowhere."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.audit.entries import leads_outside

__all__ = ["find_files"]

_MOST_FILES: Final = 2_000_000  # of a folder that is searched for pictures that moved


def find_files(case: Case, folder: Path) -> None:
    """Look for each picture; what is found elsewhere gets its new name in `entries`, what is not is unusable."""
    _leave_out_url_folders(case, folder)
    names = case.entries.names
    if not folder.is_dir():
        says = f"There is no folder {folder}: the pictures were not looked at."
        to_do = "Name it: dataset.train.images=FOLDER, dataset.val.images=FOLDER."
        case.findings.add("no-picture-folder", "error", "file", [str(folder)], says, to_do)
        case.repairs.impossible.append(f"there is no folder of pictures {folder}")
        return
    absent = [
        number
        for number, name in enumerate(names)
        if name and (leads_outside(name) or not os.path.isfile(os.path.join(folder, name)))
    ]
    if not absent:
        return
    known = _files_by_name(folder)
    moved = {number: place for number in absent if (place := _only_place(names[number], known))}
    claims = Counter([*moved.values(), *names])
    moved = {number: place for number, place in moved.items() if claims[place] == 1}
    _report_moved(case, moved)
    _report_missing(case, [number for number in absent if number not in moved], folder)


def _leave_out_url_folders(case: Case, folder: Path) -> None:
    """As training does: a name from coco_url counts without its folder where it lies without it."""
    names = case.entries.names
    for number, image in enumerate(case.facts.images):
        if image is not None and names[number] and not image["file_name"] and not (folder / names[number]).is_file():
            plain = names[number].rpartition("/")[2]
            if plain != names[number] and (folder / plain).is_file():
                names[number] = plain
                case.repairs.set_image(number, "file_name", plain, f"file_name {plain!r}, where the file lies")


def _files_by_name(folder: Path) -> dict[str, list[str]]:
    """Paths below the folder by their last part, in lower case."""
    known: dict[str, list[str]] = defaultdict(list)
    count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            known[name.lower()].append(os.path.relpath(os.path.join(place, name), folder))
        count += len(names)
        if count > _MOST_FILES:
            break
    return known


def _only_place(name: str, known: dict[str, list[str]]) -> str | None:
    """The one file of that name, wherever it lies; None where there is none or more than one."""
    places = known.get(name.replace("\\", "/").rpartition("/")[2].lower(), [])
    return places[0].replace(os.sep, "/") if len(places) == 1 else None


def _report_moved(case: Case, moved: dict[int, str]) -> None:
    for number, place in list(moved.items())[:1]:
        says = (
            "The file lies elsewhere in the folder of pictures than file_name says: "
            f"{case.entries.names[number]!r} lies at {place!r}."
        )
        case.pictures("file-elsewhere", "error", list(moved), says, "fix=PATH corrects file_name.")
    for number, place in moved.items():
        case.repairs.set_image(number, "file_name", place, f"file_name {case.entries.names[number]!r} → {place!r}")
        case.entries.names[number] = place


def _report_missing(case: Case, missing: list[int], folder: Path) -> None:
    says = f"There is no such file in {folder}, nor one of that name below it: the picture is left out."
    to_do = "Put the pictures back, or let fix=PATH leave them out with their annotations."
    if len(missing) == len(case.entries):
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:5]) or "nothing"
        says = f"Not one picture of the file lies in {folder}, which holds: {there}."
        to_do = "Name the right folder: dataset.train.images=FOLDER, dataset.val.images=FOLDER."
        case.repairs.impossible.append(f"not one of its pictures lies in {folder}")
    case.pictures("missing-file", "error", missing, says, to_do)
    for number in missing:
        case.entries.usable[number] = False
        case.repairs.drop_image(number, f"there is no file {case.entries.names[number]!r}")
