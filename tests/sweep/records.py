"""Records made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.run_log import RunLog

__all__ = ["record_curves"]


def record_curves(folder: Path, curves: Mapping[str, Sequence[float | None]]) -> History:
    """Write one point per epoch from 1; None leaves the epoch's point out. Return what is read again."""
    folder.mkdir(parents=True, exist_ok=True)
    with RunLog.open(folder) as log:
        for epoch in range(1, max(len(values) for values in curves.values()) + 1):
            reached = {tag: values for tag, values in curves.items() if len(values) >= epoch}
            log.epoch(epoch, {tag: values[epoch - 1] for tag, values in reached.items()})
    return History.read(folder)
