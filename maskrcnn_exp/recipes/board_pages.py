"""What an evaluation leaves for TensorBoard beside the record: pictures and precision-recall curves."""

from __future__ import annotations

from pathlib import Path

from maskrcnn_exp.engine.preview import draw_preview
from maskrcnn_exp.engine.validation import ValidationResult
from maskrcnn_exp.recipes.setup import Data
from maskrcnn_exp.record.curve_files import write_pr_curves
from maskrcnn_exp.record.picture_files import write_pictures
from maskrcnn_exp.record.run_log import RunLog

__all__ = ["write_board_pages"]


def write_board_pages(folder: Path, epoch: int, result: ValidationResult, data: Data, log: RunLog) -> None:
    """Write what was found in the same few pictures as ever, and the curves, into a run's folder.

    Only the first process has the pictures, and only it may call this.
    """
    names = [category.name for category in data.val.categories]
    drawn = {f"validation/{data.val.image_id(kept.sample.index)}": draw_preview(kept, names) for kept in result.kept}
    if drawn:
        write_pictures(folder, epoch, drawn)
    for tag, picture in drawn.items():
        log.show(tag, picture, epoch)
    write_pr_curves(folder, epoch, result.coco.curves)
