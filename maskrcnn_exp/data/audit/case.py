"""A COCO file under audit: what stands in it, what was found, and what would mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from maskrcnn_exp.data.audit.coco_facts import CocoFacts
from maskrcnn_exp.data.audit.entries import Entries
from maskrcnn_exp.data.audit.findings import Findings, Severity
from maskrcnn_exp.data.audit.repairs import Repairs

__all__ = ["Case", "Numbers"]

Numbers = Sequence[int] | npt.NDArray[np.int64]
"""Places in one of the file's lists, from 0."""


@dataclass
class Case:
    """What the checks of one file share."""

    facts: CocoFacts
    entries: Entries
    findings: Findings
    repairs: Repairs = field(default_factory=Repairs)

    def pictures(self, check: str, severity: Severity, numbers: Numbers, says: str, to_do: str = "") -> None:
        """Add a finding about pictures; nothing where there are none."""
        places = [int(number) for number in numbers]
        self.findings.add(check, severity, "picture", self.entries.shown(places), says, to_do, places)

    def annotations(self, check: str, severity: Severity, numbers: Numbers, says: str, to_do: str = "") -> None:
        """Add a finding about annotations; nothing where there are none."""
        places = [int(number) for number in numbers]
        ids = self.facts.annotations.ids[np.array(places, dtype=np.int64)].tolist()
        self.findings.add(check, severity, "annotation", ids, says, to_do, places)
