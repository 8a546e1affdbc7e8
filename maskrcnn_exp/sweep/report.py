"""The report of a study, in Markdown with pictures: what was searched, what came out, and why."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import optuna

from maskrcnn_exp.compare.repeat_stats import RepeatVerdict
from maskrcnn_exp.record.atomic import write_text_atomic
from maskrcnn_exp.record.figures import save
from maskrcnn_exp.sweep.report_facts import Facts
from maskrcnn_exp.sweep.report_text import sections

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["REPORT_FILE", "write_report"]

REPORT_FILE: Final = "report.md"
_PICTURES: Final = "report"


def write_report(study: optuna.Study, folder: Path, *, command: str, repeat: RepeatVerdict | str | None = None) -> Path:
    """Write `report.md` and its pictures under `report/`; return the path of the former.

    It holds for any study: without trials, without a completed one, with conditional parameters. What cannot be
    shown is said in a sentence. Without matplotlib the report has no pictures and says so.

    Args:
        study: As it stands.
        folder: The study's folder, which exists.
        command: Prefix of a training, such as `python -m maskrcnn_exp train`.
        repeat: What repeats with other seeds said of the winner, or why there was nothing to repeat; None: none ran.
    """
    facts = Facts.of(study, folder)
    pictures = _draw(facts, folder / _PICTURES)
    parts = sections(facts, command, repeat, pictures)
    path = folder / REPORT_FILE
    text = "\n\n".join(part for part in parts if part) + "\n"
    write_text_atomic(path, text)
    return path


def _draw(facts: Facts, folder: Path) -> dict[str, str]:
    """Write the pictures; return the path of each relative to the report, by what it shows."""
    if importlib.util.find_spec("matplotlib") is None:
        return {}
    folder.mkdir(exist_ok=True)
    paths: dict[str, str] = {}
    for number, (what, figure) in enumerate(_figures(facts)):
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", what).strip("_")
        if f"{_PICTURES}/{name}.png" in paths.values():  # two keys that differ in odd characters only
            name = f"{name}_{number}"
        save(figure, folder / f"{name}.png")
        paths[what] = f"{_PICTURES}/{name}.png"
    for old in folder.glob("*.png"):
        if f"{_PICTURES}/{old.name}" not in paths.values():
            old.unlink()
    return paths


def _figures(facts: Facts) -> Iterator[tuple[str, Figure]]:
    from maskrcnn_exp.diagnose.picture import evidence_figure
    from maskrcnn_exp.sweep import plots

    standing = facts.standing
    if facts.fault is not None and (evidence := evidence_figure(*facts.fault)) is not None:
        yield "diagnosis", evidence
    if standing.finished:
        yield "history", plots.history_figure(standing)
    if any(row.shares for row in facts.importances):
        yield "importance", plots.importance_figure(facts.importances)
    if not standing.is_single and standing.ranked:
        yield "pareto", plots.pareto_figure(standing)
    for name in facts.tried:
        yield f"slice {name}", plots.slice_figure(standing, name, facts.regions.get(name, ()))
    for name in facts.with_losses:
        yield f"losses {name}", plots.losses_figure(standing, name, facts.regions.get(name, ()))
