"""What the audit says of a dataset in another format, beside what it says of the COCO lists that it became."""

from __future__ import annotations

from typing import Final

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.formats.source import Source

__all__ = ["judge_as_converted"]

_OF_COCO_ALONE: Final = ("no-box", "no-area", "string-image-id", "string-annotation-id", "picture-without-size")
"""What the other formats have not: no fault of theirs."""


def judge_as_converted(case: Case, source: Source) -> None:
    """Take back what only a COCO file can lack, and add what the reader found.

    A repaired file still gets boxes and areas, but they are not listed as changes.
    """
    case.findings.found = [finding for finding in case.findings.found if finding.check not in _OF_COCO_ALONE]
    for edit in case.repairs.annotations.values():
        edit.why = [why for why in edit.why if not why.startswith(("bbox ", "area "))]
    for reason, names in source.left_out.items():
        case.findings.add(
            "left-out", "error", "file", names, f"Left out: {reason}.", "Mend the files, or take them away."
        )
    for note in source.notes:
        case.findings.add("note", "note", "file", [str(source.place)], note)
