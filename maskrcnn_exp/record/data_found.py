"""What a run found in its two data sets, as its record keeps it: the counts, without the ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from maskrcnn_exp.data.target import BoxFit, DatasetSummary

__all__ = ["DataFound"]


@dataclass(frozen=True)
class DataFound:
    """One data set."""

    images: int = 0  # usable pictures
    instances: int = 0  # usable ones, without crowd regions
    negatives: int = 0  # pictures without an instance
    annotations_left_out: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason → annotations or pictures
    boxes: BoxFit | None = None

    @classmethod
    def of_summary(cls, summary: DatasetSummary) -> DataFound:
        return cls(
            images=summary.images,
            instances=summary.instances,
            negatives=summary.negatives,
            annotations_left_out=summary.annotations_left_out,
            left_out={reason: len(ids) for reason, ids in summary.left_out.items()},
            boxes=summary.boxes,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> DataFound | None:
        """Return what `to_json` wrote; None where it is absent or another version's."""
        if not isinstance(data, Mapping):
            return None
        try:
            boxes = data["boxes"]
            return cls(**{**data, "boxes": None if boxes is None else BoxFit(**boxes)})
        except (KeyError, TypeError):
            return None
