"""Suspect pictures in the console, in TensorBoard, and in `suspects.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from maskrcnn_exp.engine.suspect_pictures import SeenSuspect
    from maskrcnn_exp.engine.suspects import Suspect, Suspects

__all__ = ["FILE", "PICTURE_TAG", "TAG", "object_lines", "suspect_lines", "suspects_json", "suspects_markdown"]

FILE: Final = "suspects.json"
TAG: Final = "suspects"
"""Of the text in TensorBoard."""

PICTURE_TAG: Final = "suspects/worst"
"""Of the picture. Not TAG: TensorBoard shows a tag of a run on one page only."""

_SHOWN: Final = 5


def suspect_lines(
    suspects: Suspects, seen: Sequence[SeenSuspect], names: Mapping[int, str], where: Path | None
) -> list[str]:
    """Return what the console says: a line, the worst five, and where the rest stands; nothing without suspects.

    Args:
        names: File name by position in the dataset.
        where: The file that holds all; None: `output=FILE` would.
    """
    count = len(suspects.found)
    if not count:
        return []
    head = f"suspects: in {count} of {suspects.pictures} validation pictures network and masks disagree: look at them"
    lines = [f"   {_line(suspect, suspects, seen, names)}" for suspect in suspects.found[:_SHOWN]]
    more = f"{count - _SHOWN} more, and numbers" if count > _SHOWN else "numbers"
    return [head, *lines, f"   {more}: {where if where is not None else 'output=FILE.json'}"]


def _line(suspect: Suspect, suspects: Suspects, seen: Sequence[SeenSuspect], names: Mapping[int, str]) -> str:
    picture = suspect.picture
    again = next((one for one in seen if one.suspect.picture.index == picture.index), None)
    numbers = (
        f"loss_mask {picture.loss_mask:.2f} (median {suspects.median_loss_mask:.2f}) · "
        f"mask IoU {picture.mask_iou:.2f} (median {suspects.median_mask_iou:.2f})"
    )
    name = names[picture.index]
    if again is None or not again.annotation_ids:
        return f"{name}: {numbers}"
    iou, worst = min(zip(again.mask_ious, again.annotation_ids, strict=True), key=lambda pair: pair[0])
    return f"{name}: {numbers} · annotation {worst} {iou:.2f}"


def object_lines(found: Sequence[Mapping[str, Any]], annotations: int, where: Path | None) -> list[str]:
    """Return what the console says of suspect annotations; nothing without one.

    Args:
        found: Entries with file_name, id and mask_iou, the worst first.
        annotations: That were looked at.
        where: As for `suspect_lines`.
    """
    if not found:
        return []
    head = f"suspects: {len(found)} of {annotations} annotated masks are unlike what is found in their boxes"
    lines = [f"   {one['file_name']}: annotation {one['id']} · mask IoU {one['mask_iou']:.2f}" for one in found]
    more = [f"   {len(found) - _SHOWN} more: {where if where is not None else 'output=FILE.json'}"]
    return [head, *lines[:_SHOWN], *(more if len(found) > _SHOWN else [])]


def suspects_markdown(suspects: Suspects, seen: Sequence[SeenSuspect], names: Mapping[int, str]) -> str:
    """Return the text for TensorBoard."""
    lines = suspect_lines(suspects, seen, names, Path(FILE))
    return "```\n" + "\n".join([*lines, "", "green: annotated · red: found in the annotated box"]) + "\n```"


def suspects_json(
    suspects: Suspects,
    seen: Sequence[SeenSuspect],
    names: Mapping[int, str],
    image_ids: Mapping[int, int | str],
    rule: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `suspects.json`.

    Args:
        names: File name by position in the dataset.
        image_ids: The picture's own id, likewise.
        rule: How they were found.
    """
    by_index = {one.suspect.picture.index: one for one in seen}
    return {
        "format": 1,
        "split": "validation",
        "rule": dict(rule),
        "pictures": suspects.pictures,
        "median_loss_mask": _number(suspects.median_loss_mask),
        "median_mask_iou": _number(suspects.median_mask_iou),
        "not_judged": suspects.why_not or None,
        "suspects": [
            {
                "file_name": names[suspect.picture.index],
                "image_id": image_ids[suspect.picture.index],
                "loss_mask": _number(suspect.picture.loss_mask),
                "mask_iou": _number(suspect.picture.mask_iou),
                "score": _number(suspect.score),
                "because": list(suspect.because),
                "annotations": _annotations(by_index.get(suspect.picture.index)),
            }
            for suspect in suspects.found
        ],
    }


def _annotations(seen: SeenSuspect | None) -> list[dict[str, Any]] | None:
    """Return the picture's annotations, the worst first; None where it was not looked at again."""
    if seen is None:
        return None
    pairs = sorted(zip(seen.mask_ious, seen.annotation_ids, strict=True), key=lambda pair: pair[0])
    return [{"id": name, "mask_iou": _number(iou)} for iou, name in pairs]


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
