"""The key `iscrowd`, and the ways in which outlines are written."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskrcnn_exp.data.audit.case import Case
from maskrcnn_exp.data.audit.coco_facts import (
    BARE_POLYGON,
    CROWD_ABSENT,
    CROWD_ODD,
    POLYGONS,
    RLE_LIST,
    RLE_TEXT,
)

__all__ = ["check_crowds"]


def check_crowds(case: Case) -> None:
    """Find absent and odd values of `iscrowd`, and mixes that other tools take for something else."""
    marks, kinds = case.facts.crowd_marks, case.facts.outline_kinds
    absent = np.flatnonzero(marks == CROWD_ABSENT)
    says = "There is no iscrowd; the annotation is taken for one object."
    case.annotations("no-iscrowd", "note", absent, says, "fix=PATH sets iscrowd 0.")
    case.repairs.set_absent_crowd = len(absent) > 0
    odd = np.flatnonzero(marks == CROWD_ODD).tolist()
    says = (
        "iscrowd is neither 0 nor 1. It is not guessed: the object is left out and taught as background. Other tools "
        'take it as Python does: any text, "0" too, means a crowd.'
    )
    case.annotations("odd-iscrowd", "error", odd, says, "fix=PATH sets 0 or 1.")
    for number in odd:
        value = case.facts.odd_crowd[number]
        case.repairs.set_annotation(number, "iscrowd", _meant(value), f"iscrowd {value!r} → {_meant(value)}")
    polygons = np.isin(kinds, (POLYGONS, BARE_POLYGON))
    says = "A crowd region (iscrowd 1) with polygons; COCO writes those as run lengths. It is read."
    case.annotations("crowd-as-polygon", "note", np.flatnonzero((marks == 1) & polygons), says)
    _check_mix(case, polygons, np.isin(kinds, (RLE_TEXT, RLE_LIST)))
    bare = np.flatnonzero(kinds == BARE_POLYGON).tolist()
    says = "A polygon without the list around it. It is read; other tools fail."
    case.annotations("bare-polygon", "note", bare, says, "fix=PATH writes the list.")
    for number in bare:
        case.repairs.order_outline(number, "segmentation: a list around its one polygon")


def _check_mix(case: Case, polygons: Any, runs: Any) -> None:
    objects = ~case.facts.annotations.crowd
    polygons, runs = polygons & objects, runs & objects
    if polygons.any() and runs.any():
        says = (
            f"{int(polygons.sum())} objects have polygons and {int(runs.sum())} run lengths, with iscrowd 0. Both are "
            "read; tools that take run lengths for crowds lose objects."
        )
        fewer = polygons if polygons.sum() < runs.sum() else runs
        case.annotations("mixed-outlines", "note", np.flatnonzero(fewer), says)


def _meant(value: object) -> int:
    """0 for nothing, false, NaN and the texts of these; 1 for the rest."""
    if isinstance(value, str):
        return int(value.strip().lower() not in ("", "0", "0.0", "false", "no", "none", "nan"))
    return int(bool(value) and value == value)
