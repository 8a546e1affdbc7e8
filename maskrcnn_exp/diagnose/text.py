"""Verdicts for people: in the console, in TensorBoard, in a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.diagnosis import Diagnosis
from maskrcnn_exp.diagnose.prescriptions import command
from maskrcnn_exp.diagnose.trends import last
from maskrcnn_exp.diagnose.verdict import Evidence, Verdict
from maskrcnn_exp.record.tags import map_tag

__all__ = ["console_text", "markdown_text", "notes_of", "report_section", "sparkline"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_WIDTH: Final = 24  # of a sparkline
_NAME_WIDTH: Final = 25
_NOTES: Final = 3  # arrows in one epoch's block: more would hide the numbers


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Return a curve as a row of bars from its least to its greatest value; `·` where nothing was recorded.

    More values than `width` are put together by their means. A curve without change is a row of low bars.
    """
    shown = _resampled(values, width)
    known = [value for value in shown if math.isfinite(value)]
    if not known:
        return "·" * len(shown)
    low, span = min(known), max(known) - min(known)
    scale = (len(_BARS) - 1) / span if span > 0 else 0.0
    return "".join(_BARS[round((value - low) * scale)] if math.isfinite(value) else "·" for value in shown)


def _resampled(values: Sequence[float], width: int) -> list[float]:
    if len(values) <= width:
        return list(values)
    ends = [round(place * len(values) / width) for place in range(width + 1)]
    groups = ([value for value in values[a:b] if math.isfinite(value)] for a, b in pairwise(ends))
    return [math.fsum(group) / len(group) if group else math.nan for group in groups]


def console_text(diagnosis: Diagnosis, curves: Curves) -> str:
    """Return a run's diagnosis as `diagnose` prints it."""
    lines = [_headline(diagnosis, curves)]
    for verdict in diagnosis.verdicts:
        lines += ["", *(_full(verdict, curves) if verdict.severity != "info" else _short(verdict, curves))]
    if not diagnosis.faults:
        lines.insert(1, "no fault found")
    if diagnosis.consequences:
        lines += ["", f"follows from it: {', '.join(f'{one.rule} ({one.part})' for one, _ in diagnosis.consequences)}"]
    return "\n".join(lines)


def _headline(diagnosis: Diagnosis, curves: Curves) -> str:
    planned = f" of {curves.facts.epochs}" if curves.facts.epochs else ""
    numbers = [f"{curves.unit} {diagnosis.epoch}{planned}"]
    for name, kind in (("box", "bbox"), ("mask", "segm")):
        value = last(curves[map_tag(kind, "AP")])
        numbers += [f"{name} AP {value:.3f}"] if math.isfinite(value) else []
    return f"{diagnosis.run}: {' · '.join(numbers)}"


def _full(verdict: Verdict, curves: Curves) -> list[str]:
    return [
        f"{verdict.severity.upper()}: {verdict.says}",
        f"   {_where(verdict, curves)}",
        *(f"   {line}" for line in _table(verdict.evidence)),
        *_prescribed(verdict, curves),
    ]


def _short(verdict: Verdict, curves: Curves) -> list[str]:
    compared = [line for line in _table(verdict.evidence) if verdict.rule.startswith("typical")]
    return [
        f"note: {verdict.says} ({verdict.rule})",
        *(f"   {line}" for line in compared),
        *_prescribed(verdict, curves),
    ]


def _where(verdict: Verdict, curves: Curves) -> str:
    since = f"since {curves.unit} {verdict.since}"
    return f"{verdict.rule} · {verdict.part} · {since} · confidence {verdict.confidence:.0%}"


def _prescribed(verdict: Verdict, curves: Curves) -> list[str]:
    if verdict.prescription is None:
        return []
    typed = command(verdict.prescription, curves.facts.overrides)
    return [f"   → {typed}", f"     {verdict.prescription.why}"]


def _table(evidence: Sequence[Evidence]) -> list[str]:
    """Return a line per quantity: name, picture, latest value, remark, the document's figure."""
    lines = []
    for one in evidence:
        known = [value for value in one.values if math.isfinite(value)]
        value = f"{known[-1]:.4g}" if known else "never recorded"
        picture = sparkline(one.values) if len(one.values) > 1 else ""
        remarks = [one.note, f"the document: {one.document}" if one.document else ""]
        said = "; ".join(remark for remark in remarks if remark)
        lines.append(f"{one.name:{_NAME_WIDTH}} {picture:{_WIDTH}} {value:>10}  {said}".rstrip())
    return lines


def markdown_text(diagnosis: Diagnosis, curves: Curves) -> str:
    """Return the same for TensorBoard's text tab."""
    if not diagnosis.verdicts:
        return "no fault found"
    return f"```\n{console_text(diagnosis, curves)}\n```"


def report_section(diagnosis: Diagnosis, curves: Curves, pictures: Mapping[int, str]) -> str:
    """Return a run's part of a report in Markdown; `pictures` are file names by the verdict's place."""
    lines = [f"## {_headline(diagnosis, curves)}", ""]
    for place, verdict in enumerate(diagnosis.verdicts):
        text = _full(verdict, curves) if verdict.severity != "info" else _short(verdict, curves)
        lines += [f"**{text[0]}**", "", "```", *text[1:], "```", ""]
        if place in pictures:
            lines += [f"![{verdict.rule}]({pictures[place]})", ""]
    if not diagnosis.faults:
        lines.insert(2, "no fault found\n")
    return "\n".join(lines)


def notes_of(diagnosis: Diagnosis) -> dict[str, str]:
    """Return the remarks for the console's epoch block: line → `barely moving: lr.mask_mult=10`; the worst first.

    Only what is above info, one per line.
    """
    notes: dict[str, str] = {}
    for verdict in diagnosis.faults:
        if verdict.line and verdict.line not in notes and len(notes) < _NOTES:
            notes[verdict.line] = _note(verdict)
    return notes


def _note(verdict: Verdict) -> str:
    prescription = verdict.prescription
    if prescription is None:
        return verdict.brief
    typed = " ".join(prescription.words) if prescription.command == "train" else prescription.command
    return f"{verdict.brief}: {typed}" if typed else verdict.brief
