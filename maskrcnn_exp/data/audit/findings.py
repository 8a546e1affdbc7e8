"""What an audit found: one frozen record per finding, and the collector that the checks write into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = ["IDS_KEPT", "Finding", "Findings", "Severity", "by_severity", "count_of"]

Severity = Literal["error", "warning", "note"]
Subject = Literal["annotation", "picture", "category", "file"]
Id = int | str

IDS_KEPT: Final = 1000
"""Ids that a finding carries; its count is of all."""

_RANK: Final = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """One check's verdict on one split.

    error: the file is broken, a part of it cannot be used, or the network would learn what is not so.
    warning: usable, but somebody should look. note: a fact that explains what the program does.
    """

    check: str  # frozen name, as duplicate-annotation-id
    severity: Severity
    split: str  # train, val, or both
    of: Subject  # what is counted and what `ids` name
    count: int
    ids: tuple[Id, ...]  # the first IDS_KEPT
    says: str  # what is wrong and what follows from it
    to_do: str  # the next step; empty where there is nothing to do
    numbers: tuple[int, ...] = ()  # places in the file from 0, or in the split, of `ids`

    def as_json(self) -> dict[str, Any]:
        """The finding as plain values."""
        names = ("check", "severity", "split", "of", "count", "says", "to_do")
        return {**{name: getattr(self, name) for name in names}, "ids": list(self.ids)}


@dataclass
class Findings:
    """Collects the findings of one split; a check without ids has found nothing."""

    split: str
    found: list[Finding] = field(default_factory=list)

    def add(
        self,
        check: str,
        severity: Severity,
        of: Subject,
        ids: Sequence[Id],
        says: str,
        to_do: str = "",
        numbers: Iterable[int] = (),
    ) -> None:
        """Note a finding about `ids`, all of them; nothing where there are none."""
        if len(ids) == 0:
            return
        places = tuple(numbers)[:IDS_KEPT]
        kept = tuple(ids[:IDS_KEPT])
        self.found.append(Finding(check, severity, self.split, of, len(ids), kept, says, to_do, places))


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Errors before warnings before notes; within each the largest first."""
    return sorted(findings, key=lambda finding: (_RANK[finding.severity], -finding.count, finding.check, finding.split))


def count_of(findings: Iterable[Finding], severity: Severity) -> int:
    """How many findings have this severity."""
    return sum(finding.severity == severity for finding in findings)
