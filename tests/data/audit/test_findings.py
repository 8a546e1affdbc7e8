"""Findings: their order, and how many ids they keep."""

from __future__ import annotations

from maskrcnn_exp.data.audit.findings import IDS_KEPT, Findings, by_severity, count_of


def test_errors_come_before_warnings_before_notes_and_the_largest_first() -> None:
    findings = Findings("train")
    findings.add("little", "warning", "picture", [1], "…")
    findings.add("fact", "note", "picture", [1, 2, 3], "…")
    findings.add("much", "warning", "picture", [1, 2], "…")
    findings.add("wrong", "error", "picture", [1], "…")
    assert [found.check for found in by_severity(findings.found)] == ["wrong", "much", "little", "fact"]
    assert count_of(findings.found, "warning") == 2


def test_a_check_without_ids_has_found_nothing() -> None:
    findings = Findings("train")
    findings.add("check", "error", "picture", [], "…")
    assert findings.found == []


def test_a_finding_counts_all_ids_and_keeps_the_first_thousand() -> None:
    findings = Findings("train")
    findings.add("check", "error", "annotation", list(range(5000)), "…", numbers=range(5000))
    (found,) = findings.found
    assert found.count == 5000
    assert found.ids == tuple(range(IDS_KEPT)) == found.numbers
    assert found.as_json()["ids"] == list(range(IDS_KEPT))
