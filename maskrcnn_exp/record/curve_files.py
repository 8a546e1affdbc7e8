"""Precision-recall curves for TensorBoard's PR CURVES page: one small file per evaluation, as pictures have.

There boxes and masks are runs of their own under the same tags, `RUN/pr_curves/boxes` and `RUN/pr_curves/masks`: the
page draws the runs of a tag over each other, and so masks against boxes. The record stays short, and an epoch that is
trained again after a resume replaces its files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from tensorboard.compat.proto import summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.pr_curve import metadata

from maskrcnn_exp.record.side_file import write_side_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FOLDER", "Curve", "curve_tag", "write_pr_curves"]

FOLDER: Final = "pr_curves"
_NAMES: Final = {"bbox": "boxes", "segm": "masks"}


class Curve(Protocol):
    """What an evaluation gives: `engine.pr_curves.PrCurve`, which this layer does not import."""

    @property
    def kind(self) -> str: ...
    @property
    def iou_percent(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def objects(self) -> int: ...
    @property
    def true_positives(self) -> NDArray[np.float64]: ...
    @property
    def false_positives(self) -> NDArray[np.float64]: ...
    @property
    def precision(self) -> NDArray[np.float64]: ...
    @property
    def recall(self) -> NDArray[np.float64]: ...


def curve_tag(curve: Curve) -> str:
    """Return the tag of a curve; the page groups by what stands before the first slash."""
    return f"IoU{curve.iou_percent}/{curve.name}"


def write_pr_curves(run_folder: Path, epoch: int, curves: Iterable[Curve]) -> None:
    """Write an evaluation's curves in place of earlier files of this epoch; nothing where there are none."""
    values: dict[str, list[Any]] = defaultdict(list)
    for one in curves:
        values[one.kind].append(
            summary_pb2.Summary.Value(tag=curve_tag(one), metadata=_metadata(one), tensor=_tensor(one))
        )
    for kind, those in values.items():
        folder = run_folder / FOLDER / _NAMES[kind]
        folder.parent.mkdir(exist_ok=True)  # a run's folder that is gone is not made anew
        folder.mkdir(exist_ok=True)
        write_side_file(folder / f"epoch_{epoch:05d}.tfevents.maskrcnn-exp", those, epoch)


def _metadata(curve: Curve) -> Any:
    told = (
        f"{curve.objects} objects. A detection counts from its score on, and is right from an IoU of "
        f"0.{curve.iou_percent} with an object on. Precision is COCO's: the best at this recall or a higher one."
    )
    made = metadata.create_summary_metadata(curve_tag(curve), told, len(curve.recall))
    made.data_class = summary_pb2.DATA_CLASS_TENSOR
    return made


def _tensor(curve: Curve) -> tensor_pb2.TensorProto:
    """Float32 [6, t]: true and false positives, true and false negatives, precision, recall.

    A detector has no true negatives. Counts are rounded: TensorBoard cuts them to whole numbers.
    """
    true, false = curve.true_positives, curve.false_positives.round()
    rows = np.stack([true, false, np.zeros_like(true), curve.objects - true, curve.precision, curve.recall])
    sizes = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in rows.shape]
    return tensor_pb2.TensorProto(
        dtype=types_pb2.DT_FLOAT,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=sizes),
        tensor_content=rows.astype("<f4").tobytes(),
    )
