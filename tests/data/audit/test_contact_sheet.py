"""The contact sheet: which tiles, and what is on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from maskrcnn_exp.data.audit.contact_sheet import Drawn, choose_tiles, write_contact_sheet
from maskrcnn_exp.data.audit.findings import Finding, Findings
from tests.data.audit.audits import audit, good, polygon
from tests.data.coco_files import annotation, image, write_coco


def some_findings() -> list[Finding]:
    findings = Findings("train")
    findings.add("note", "note", "annotation", [1], "…", numbers=[1])
    findings.add("below-feature-cell", "warning", "annotation", [1], "…", numbers=[1])
    findings.add("loose-box", "warning", "annotation", list(range(40)), "…", numbers=range(40))
    findings.add("flat-box", "error", "annotation", [7, 8], "…", numbers=[7, 8])
    findings.add("unused", "warning", "category", [1], "…")
    return findings.found


def test_tiles_take_turns_and_what_the_model_makes_too_small_comes_last() -> None:
    tiles = [(found.check, position) for found, position in choose_tiles(some_findings(), most=5)]
    assert tiles == [("flat-box", 0), ("loose-box", 0), ("flat-box", 1), ("loose-box", 1), ("loose-box", 2)]
    assert len(choose_tiles(some_findings())) == 24
    all_of_them = choose_tiles(some_findings(), most=100)
    assert all_of_them[-1][0].check == "below-feature-cell"
    assert len(all_of_them) == 43


def test_the_sheet_shows_the_outline_and_the_annotated_box_on_the_picture(tmp_path: Path) -> None:
    """A green picture with a mask in the middle."""
    pixels = np.zeros((100, 100, 3), dtype=np.uint8) + np.array([0, 128, 0], dtype=np.uint8)
    mask = np.zeros((100, 100), dtype=np.uint8)
    mask[40:60, 40:60] = 1

    def shown(finding: Finding, number: int) -> Drawn:
        return Drawn((100, 100), pixels, mask, (20.0, 20.0, 80.0, 80.0), whole=True)

    assert write_contact_sheet(tmp_path / "sheet.png", some_findings()[3:4], shown) == 2
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (268, 480, 3)
    tile = sheet[28:, :240]
    assert tile[5, 5].tolist() == [0, 128, 0]
    assert tile[96, 120].tolist() == [255, 40, 40]  # the mask's upper edge, 40 of 100 pixels down
    assert tile[120, 120].tolist() == [0, 128, 0]
    assert tile[48, 120].tolist() == [255, 220, 0]  # the box's upper edge


def test_nothing_to_show_writes_no_file(tmp_path: Path) -> None:
    assert write_contact_sheet(tmp_path / "sheet.png", [], lambda finding, number: None) == 0
    assert not (tmp_path / "sheet.png").exists()


def test_findings_of_every_kind_can_be_shown_with_and_without_their_pictures(tmp_path: Path) -> None:
    entries = [
        good(1, bbox=[90, 90, 5, 5], segmentation=polygon(2, 3, 8, 7)),
        good(2, segmentation=[]),
        annotation(3, 9),
    ]
    entries.append(good(4, segmentation=polygon(1, 1, 4, 4), bbox=[1, float("inf"), 3, 3]))
    path = write_coco(tmp_path, [image(1), image(2)], entries)
    (tmp_path / "2.png").write_bytes(b"no picture")
    for folder in (tmp_path, None):
        audited = audit(path, folder)
        assert write_contact_sheet(tmp_path / "sheet.png", audited.findings, audited.shown) >= 3
