"""What concerns both splits: categories, class balance, the model's geometry, pictures on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskrcnn_exp.data.audit.balance import check_balance, check_empty_pictures
from maskrcnn_exp.data.audit.duplicates import check_leaks, check_twice
from maskrcnn_exp.data.audit.findings import Findings
from maskrcnn_exp.data.audit.sizes import Geometry, check_sizes
from maskrcnn_exp.data.audit.split import Split
from maskrcnn_exp.data.split import split_by_name

__all__ = ["check_both", "check_files", "hold_out"]


def hold_out(split: Split, val_fraction: float) -> tuple[Split, Split | None]:
    """Divide one file's pictures as training does; no validation split where there are fewer than two."""
    usable = np.flatnonzero(split.usable)
    if len(usable) < 2:
        return split, None
    _, val = split_by_name([split.names[number] for number in usable], val_fraction)
    held_out = np.zeros(len(split.usable), dtype=bool)
    held_out[usable[val]] = True
    return split.part("train", ~held_out), split.part("val", held_out)


def check_files(files: Sequence[Split], geometry: Geometry, keep_empty: bool) -> list[Findings]:
    """Run the checks of any dataset on each file, or what stands for one."""
    found = []
    for split in files:
        findings = Findings(split.name)
        check_empty_pictures(split, keep_empty, findings)
        check_sizes(split, geometry, findings)
        check_twice(split, findings)
        found.append(findings)
    return found


def check_both(train: Split, val: Split | None) -> Findings:
    """Run the checks that look at training and validation together."""
    findings = Findings("both")
    same_classes = val is not None and val.class_names == train.class_names
    check_balance(train, val if same_classes else None, findings)
    if val is not None:
        check_leaks(train, val, findings)
    return findings
