"""Diagnose: what is wrong with runs, the evidence, and the command that mends it. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.diagnosis import Diagnosis, diagnose
from maskrcnn_exp.diagnose.prescriptions import command
from maskrcnn_exp.diagnose.sources import curves_at, runs_under
from maskrcnn_exp.diagnose.text import console_text, report_section
from maskrcnn_exp.diagnose.verdict import Severity
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.atomic import write_text_atomic

__all__ = ["FOUND", "run"]

FOUND = 1
"""Exit code where a verdict is as bad as `--fail-on`."""


@dataclass(frozen=True)
class _Judged:
    curves: Curves
    diagnosis: Diagnosis


def run(
    paths: Sequence[Path],
    say: Callable[[str], None],
    *,
    as_json: bool = False,
    fail_on: Severity | None = None,
    report: Path | None = None,
) -> int:
    """Diagnose each run that the paths name, print, and return the exit code: 0, or FOUND by `fail_on`.

    A folder of several runs goes on after one that has no record yet; it is named at the end.

    Args:
        report: Folder for `diagnosis.md` and its pictures; made where it is absent.

    Raises:
        DataError: a path names nothing that can be diagnosed.
    """
    judged: list[_Judged] = []
    skipped: list[str] = []
    for path in paths:
        for each in runs_under(path):
            try:
                curves = curves_at(each)
            except DataError as error:
                if each == path:
                    raise
                skipped.append(str(error))
                continue
            judged.append(_Judged(curves, diagnose(curves)))
            if not as_json:
                say(console_text(judged[-1].diagnosis, curves) + "\n")
    if not judged:
        raise DataError("\n".join(skipped))
    if as_json:
        reports = [_with_commands(one) for one in judged]
        say(json.dumps({"runs": reports, "skipped": skipped}, indent=2, ensure_ascii=False, allow_nan=False))
    for problem in () if as_json else skipped:
        say(f"left out: {problem}")
    if report is not None:
        _write_report(judged, report)
    found = fail_on is not None and any(one.diagnosis.reaches(fail_on) for one in judged)
    return FOUND if found else 0


def _with_commands(judged: _Judged) -> dict[str, object]:
    """Return the JSON form with the whole command beside each prescription's words."""
    entries = judged.diagnosis.to_json()
    for entry, verdict in zip(entries["verdicts"], judged.diagnosis.verdicts, strict=True):
        if verdict.prescription is not None:
            entry["prescription"]["typed"] = command(verdict.prescription, judged.curves.facts.overrides)
    return entries


def _write_report(judged: Sequence[_Judged], folder: Path) -> None:
    from maskrcnn_exp.diagnose.picture import save_picture

    folder.mkdir(parents=True, exist_ok=True)
    sections = []
    for number, one in enumerate(judged, start=1):
        names = {}
        for place, verdict in enumerate(one.diagnosis.verdicts):
            name = f"{number}_{verdict.rule}_{verdict.part}.png"
            if save_picture(verdict, one.curves, folder / name):
                names[place] = name
        sections.append(report_section(one.diagnosis, one.curves, names))
    write_text_atomic(folder / "diagnosis.md", "\n".join(["# Diagnosis", "", *sections]))
