"""What the diagnosis says of a run, and how it is written down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

__all__ = ["SEVERITIES", "Evidence", "Prescription", "Severity", "Verdict", "at_least"]

Severity = Literal["info", "warning", "severe"]

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""From the mildest."""


@dataclass(frozen=True)
class Evidence:
    """One quantity that a verdict rests on."""

    name: str  # in words, or the tag
    values: tuple[float, ...]  # one per epoch, NaN where nothing was recorded; a single number alone
    note: str = ""  # what to see in it
    document: str = ""  # the loss breakdown's figure for the same quantity
    tag: str = ""  # of the record; empty where several were put together


@dataclass(frozen=True)
class Prescription:
    """What to type instead."""

    words: tuple[str, ...]  # overrides, on top of what the run was started with
    why: str  # where the value comes from
    command: Literal["train", "check-data"] = "train"


@dataclass(frozen=True)
class Verdict:
    """One finding."""

    rule: str
    part: str  # a part of the network, or `data`, `run`
    severity: Severity
    confidence: float  # 0..1
    since: int  # epoch from which on it holds; optimiser step in a log without epochs
    says: str  # one sentence
    brief: str  # a few words, for the arrow in the console
    line: str = ""  # line of the console's epoch block that it is about; empty: none
    evidence: tuple[Evidence, ...] = ()
    prescription: Prescription | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two verdicts the same finding at two epochs."""
        return self.rule, self.part, self.severity

    def to_json(self) -> dict[str, Any]:
        """Return plain data; numbers rounded to six digits, NaN as null."""
        return {
            "rule": self.rule,
            "part": self.part,
            "severity": self.severity,
            "confidence": round(self.confidence, 2),
            "since_epoch": self.since,
            "says": self.says,
            "brief": self.brief,
            "line": self.line,
            "evidence": [_evidence_json(evidence) for evidence in self.evidence],
            "prescription": None
            if self.prescription is None
            else {
                "command": self.prescription.command,
                "words": list(self.prescription.words),
                "why": self.prescription.why,
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """Return what `to_json` wrote."""
        prescription = data["prescription"]
        return cls(
            rule=data["rule"],
            part=data["part"],
            severity=data["severity"],
            confidence=data["confidence"],
            since=data["since_epoch"],
            says=data["says"],
            brief=data["brief"],
            line=data["line"],
            evidence=tuple(_evidence_of(entry) for entry in data["evidence"]),
            prescription=None
            if prescription is None
            else Prescription(tuple(prescription["words"]), prescription["why"], prescription["command"]),
        )


def at_least(severity: Severity, least: Severity) -> bool:
    """Say whether `severity` is `least` or worse."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def _evidence_json(evidence: Evidence) -> dict[str, Any]:
    return {
        "name": evidence.name,
        "tag": evidence.tag,
        "values": [float(f"{value:.6g}") if math.isfinite(value) else _named(value) for value in evidence.values],
        "note": evidence.note,
        "document": evidence.document,
    }


def _named(value: float) -> str | None:
    return None if math.isnan(value) else str(value)  # JSON has no infinity


def _evidence_of(data: Mapping[str, Any]) -> Evidence:
    values = tuple(math.nan if value is None else float(value) for value in data["values"])
    return Evidence(data["name"], values, data["note"], data["document"], data["tag"])
