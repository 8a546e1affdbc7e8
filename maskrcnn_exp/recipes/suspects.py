"""Suspects: after a validation, the pictures whose masks are unlike the rest, and which annotations it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lightning_fabric import Fabric
from torchvision.models.detection import MaskRCNN

from maskrcnn_exp.engine.suspect_pictures import SeenSuspect, contact_sheet, look_again
from maskrcnn_exp.engine.suspects import (
    LEAST_RATIO,
    LIMIT,
    SOURCE,
    SuspectObject,
    Suspects,
    find_suspect_objects,
    find_suspects,
)
from maskrcnn_exp.engine.validation import ValidationResult
from maskrcnn_exp.recipes.setup import Data
from maskrcnn_exp.record.atomic import write_json_atomic
from maskrcnn_exp.record.run_log import RunLog
from maskrcnn_exp.record.suspects_text import (
    FILE,
    PICTURE_TAG,
    TAG,
    object_lines,
    suspect_lines,
    suspects_json,
    suspects_markdown,
)

__all__ = ["SuspectReport", "report_suspects", "write_suspects"]

_RULE: Final = {
    "score": "0.6745 · (x - median) / MAD, with x = ln(loss_mask) and x = ln(1 - mask_iou); the larger of both",
    "limit": LIMIT,
    "least_ratio_to_median": LEAST_RATIO,
    "source": SOURCE,
}


@dataclass(frozen=True)
class SuspectReport:
    """What there is to say of them."""

    suspects: Suspects
    seen: list[SeenSuspect]
    names: dict[int, str]  # position in the dataset → file name
    content: dict[str, Any]  # of suspects.json
    annotations: int = 0  # that were looked at one by one

    def lines(self, where: Path | None) -> list[str]:
        """Return what the console says; `where` is the file that holds all."""
        lines = suspect_lines(self.suspects, self.seen, self.names, where)
        return [*lines, *object_lines(self.content.get("annotations", ()), self.annotations, where)]


def report_suspects(
    result: ValidationResult,
    network: MaskRCNN,
    data: Data,
    fabric: Fabric,
    mask_ious: Mapping[int, Sequence[float]] | None = None,
) -> SuspectReport:
    """Find the suspects of a validation, and look at the worst of them again.

    What is judged was measured in the validation itself; only suspects cost time.

    Args:
        network: With the weights that were validated.
        mask_ious: Of each picture's objects, where the validation asked the mask head for them; then annotations are
            judged one by one too.
    """
    suspects = find_suspects(result.pictures)
    seen = look_again(network, data.val, suspects.found, fabric)
    indices = [suspect.picture.index for suspect in suspects.found]
    names = {index: str(data.ground_truth["images"][index]["file_name"]) for index in indices}
    image_ids = {index: data.val.image_id(index) for index in indices}
    content = suspects_json(suspects, seen, names, image_ids, _RULE)
    if mask_ious is None:
        return SuspectReport(suspects, seen, names, content)
    content["annotations"] = [_described(one, data) for one in find_suspect_objects(mask_ious)]
    return SuspectReport(suspects, seen, names, content, sum(map(len, mask_ious.values())))


def _described(one: SuspectObject, data: Data) -> dict[str, Any]:
    return {
        "file_name": str(data.ground_truth["images"][one.index]["file_name"]),
        "image_id": data.val.image_id(one.index),
        "id": data.val.annotation_ids(one.index)[one.place],
        "mask_iou": round(one.mask_iou, 4),
        "score": round(one.score, 4),
    }


def write_suspects(report: SuspectReport, folder: Path, log: RunLog, epoch: int) -> list[str]:
    """Write `suspects.json`, and a text and a picture for TensorBoard; return what the console is to say."""
    path = folder / FILE
    write_json_atomic(path, {"epoch": epoch, **report.content})
    if report.seen:
        log.text(TAG, suspects_markdown(report.suspects, report.seen, report.names), epoch)
        names = [report.names[one.suspect.picture.index] for one in report.seen]
        log.image(PICTURE_TAG, contact_sheet(report.seen, names), epoch)
    return report.lines(path)
