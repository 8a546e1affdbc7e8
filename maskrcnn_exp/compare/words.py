"""How a comparison writes settings, groups and numbers."""

from __future__ import annotations

import math
from typing import Final

from maskrcnn_exp.compare.groups import Group
from maskrcnn_exp.compare.runs import MASK_AP, Setting
from maskrcnn_exp.record import tags

__all__ = ["BOX_AP", "NAMED", "change_words", "digits", "label", "mean_and_spread", "metric_name", "setting_text"]

BOX_AP: Final = tags.map_tag("bbox", "AP")
NAMED: Final = 5
"""Settings that are told in a line or have a column; the others are counted."""


def setting_text(value: Setting) -> str:
    """Write a setting as one types it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def label(group: Group) -> str:
    """Return what is special about a group's settings, such as `lr.mask_mult=10`; its name where nothing is."""
    words = [f"{key}={setting_text(value)}" for key, value in group.differs.items()]
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return " ".join(words[:NAMED]) + more or group.name


def change_words(group: Group, other: Group) -> list[str]:
    """Return what is different in a group against another, such as `lr.mask_mult 1 → 10`."""
    return [
        f"{key} {setting_text(other.differs.get(key))} → {setting_text(value)}"
        for key, value in group.differs.items()
        if repr(value) != repr(other.differs.get(key))
    ]


def mean_and_spread(group: Group, tag: str) -> str:
    """Write the mean of the runs' best values, with their standard deviation where there are several."""
    mean, spread = group.mean_best(tag), group.spread(tag)
    if math.isnan(mean):
        return "n/a"
    return f"{mean:.4f}" if math.isnan(spread) else f"{mean:.4f} ± {spread:.4f}"


def metric_name(tag: str) -> str:
    return {MASK_AP: "mask AP", BOX_AP: "box AP"}.get(tag, tag)


def digits(value: float) -> int:
    """Return decimals that show one digit of what is large, and two of what is small."""
    return 1 if abs(value) >= 1 or not value else min(6, 1 - math.floor(math.log10(abs(value))))
