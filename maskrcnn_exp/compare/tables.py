"""A comparison's two tables: what came out, and the losses at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from maskrcnn_exp.compare.groups import Comparison, Group
from maskrcnn_exp.compare.runs import MASK_AP
from maskrcnn_exp.compare.seed_stats import mean_of
from maskrcnn_exp.compare.words import BOX_AP, NAMED, mean_and_spread, setting_text
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.tables import aligned, duration

__all__ = ["losses_table", "results_table"]

_PAIRS: Final = (
    *((tags.train_loss_tag(loss), tags.val_loss_tag(loss)) for loss in LOSSES),
    (tags.TRAIN_TOTAL, tags.VAL_TOTAL),
)


def results_table(comparison: Comparison, top: int | None = None) -> str:
    """One line per group, the best first: settings that differ, APs, time, what became of it.

    Args:
        top: So many lines; all where None.
    """
    keys = comparison.keys[:NAMED]
    shown = [comparison.metric] if comparison.metric not in (MASK_AP, BOX_AP, "time/epoch_s") else []
    repeated = any(len(group.runs) > 1 for group in comparison.groups)
    head = ["run", *(["runs"] if repeated else []), *keys, *shown, "mask AP", "epoch", "box AP", "time", "s/step", ""]
    rows = [head]
    for group in comparison.groups[:top]:
        cells = [group.name, *([str(len(group.runs))] if repeated else [])]
        cells += [setting_text(group.differs[key]) for key in keys]
        cells += [mean_and_spread(group, tag) for tag in shown]
        rows.append([*cells, *_ap_cells(group), *_time_cells(group), _remark(group)])
    hidden = comparison.keys[NAMED:]
    note = f"\n{len(hidden)} more settings differ: {', '.join(hidden)}" if hidden else ""
    return _with_words(rows) + note


def losses_table(comparison: Comparison, top: int | None = None) -> str:
    """One line per group: each loss of the last epoch, training → validation, the mean over seeds."""
    rows = [["last epoch, train → val", *LOSSES, "total"]]
    for group in comparison.groups[:top]:
        cells = (" → ".join(_loss(group.mean_last(tag)) for tag in pair) for pair in _PAIRS)
        rows.append([group.name, *cells])
    return aligned(rows)


def _ap_cells(group: Group) -> list[str]:
    best = group.runs[0].best(MASK_AP)
    epoch = str(best[0]) if best is not None and len(group.runs) == 1 else ""
    return [mean_and_spread(group, MASK_AP), epoch, mean_and_spread(group, BOX_AP)]


def _time_cells(group: Group) -> list[str]:
    seconds = mean_of([run.seconds for run in group.runs])
    step = mean_of([run.step_seconds for run in group.runs])
    return ["" if math.isnan(seconds) else duration(seconds), "" if math.isnan(step) else f"{step:.3g}"]


def _remark(group: Group) -> str:
    told = list(dict.fromkeys(word for run in group.runs for word in (run.state, run.verdict) if word))
    return "; ".join(told[:2]) + (f" and {len(told) - 2} more" if len(told) > 2 else "")


def _with_words(rows: Sequence[Sequence[str]]) -> str:
    """Align all but the last column, which is words."""
    lines = aligned([row[:-1] for row in rows]).split("\n")
    width = max(map(len, lines))
    return "\n".join(f"{line.ljust(width)}  {row[-1]}".rstrip() for line, row in zip(lines, rows, strict=True))


def _loss(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.3f}"
