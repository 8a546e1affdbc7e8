"""An audit as lines for people and as plain values for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from maskrcnn_exp.data.audit.audit import Audited
from maskrcnn_exp.data.audit.findings import Finding, count_of
from maskrcnn_exp.data.audit.sizes import Geometry
from maskrcnn_exp.data.audit.split import Split

__all__ = ["errors_in_words", "report_json", "report_lines"]

_SHOWN_IDS: Final = 5
_WIDTH: Final = 108
_SUBJECTS: Final = {"annotation": "annotations", "picture": "pictures", "category": "categories", "file": "files"}


def report_lines(audited: Audited, geometry: Geometry) -> list[str]:
    """Return what was looked at, then the findings, the worst first, then how many there are."""
    anchors = ", ".join(f"{size:g}" for size in geometry.anchor_sizes)
    lines = [_looked_at(split) for split in audited.splits]
    lines.append(
        f"sizes are judged for model.min_size={geometry.min_size}, anchors {anchors}, "
        f"masks of {geometry.mask_resolution}×{geometry.mask_resolution} pixels"
    )
    for severity in ("error", "warning", "note"):
        found = [finding for finding in audited.findings if finding.severity == severity]
        if found:
            lines += ["", f"{severity}s"]
            lines += [line for finding in found for line in _finding_lines(finding)]
    return [*lines, "", " · ".join(_counted(audited.findings))]


def report_json(audited: Audited, geometry: Geometry, sheet: Path | None) -> dict[str, Any]:
    """Return the report as plain values; a finding's `count` is of all, `ids` holds the first thousand."""
    return {
        "files": [_numbers(split) for split in audited.splits],
        "judged_for": {
            "min_size": geometry.min_size,
            "max_size": geometry.max_size,
            "anchor_sizes": list(geometry.anchor_sizes),
            "anchor_ratios": list(geometry.anchor_ratios),
            "mask_resolution": geometry.mask_resolution,
        },
        "errors": count_of(audited.findings, "error"),
        "warnings": count_of(audited.findings, "warning"),
        "notes": count_of(audited.findings, "note"),
        "findings": [finding.as_json() for finding in audited.findings],
        "contact_sheet": None if sheet is None else str(sheet),
    }


def errors_in_words(findings: Sequence[Finding]) -> str:
    """Name the errors in one line; "" where there are none."""
    names = [
        f"{finding.check} ({finding.split}, {finding.count})" for finding in findings if finding.severity == "error"
    ]
    return f"{len(names)} error{'s' if len(names) != 1 else ''}: {', '.join(names)}" if names else ""


def _looked_at(split: Split) -> str:
    objects = split.instances()
    read = f"{len(split.looks)} read" if split.looks else "not read"
    return (
        f"{split.name}: {int(split.usable.sum())} usable pictures of {len(split.usable)} ({read}), "
        f"{len(objects)} objects, {len(split.class_ids)} classes"
    )


def _numbers(split: Split) -> dict[str, Any]:
    return {
        "split": split.name,
        "pictures": len(split.usable),
        "usable_pictures": int(split.usable.sum()),
        "pictures_read": len(split.looks),
        "objects": len(split.instances()),
        "classes": list(split.class_names),
    }


def _finding_lines(finding: Finding) -> list[str]:
    subject = finding.of if finding.count == 1 else _SUBJECTS[finding.of]
    ids = ", ".join(str(value) for value in finding.ids[:_SHOWN_IDS])
    more = " …" if finding.count > _SHOWN_IDS else ""
    where = "" if finding.split == "both" else f" · {finding.split}"
    lines = [f"  {finding.check}{where} · {finding.count} {subject}: {ids}{more}"]
    lines += textwrap.wrap(finding.says, _WIDTH, initial_indent="      ", subsequent_indent="      ")
    return [*lines, f"      ← {finding.to_do}"] if finding.to_do else lines


def _counted(findings: Sequence[Finding]) -> list[str]:
    counts = {severity: count_of(findings, severity) for severity in ("error", "warning", "note")}
    return [f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items()]
