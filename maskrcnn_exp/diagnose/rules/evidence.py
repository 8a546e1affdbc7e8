"""How rules put their numbers into evidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from maskrcnn_exp.diagnose.trends import running
from maskrcnn_exp.diagnose.verdict import Evidence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maskrcnn_exp.diagnose.curves import Curves
    from maskrcnn_exp.model.parts import Part

__all__ = ["LINES", "NAMES", "curve", "number", "shown", "since", "surety"]


NAMES: Final[dict[Part, str]] = {
    "backbone": "backbone",
    "fpn": "FPN",
    "rpn": "RPN",
    "box": "box head",
    "mask": "mask head",
}
LINES: Final[dict[Part, str]] = {"rpn": "loss_objectness", "box": "loss_classifier", "mask": "loss_mask"}
"""Head → the loss that tells whether it has learned: a guess scores a known value in it."""


def shown(tag: str) -> str:
    """Return a tag as a user knows it: `loss_mask`, not `loss/train_loss_mask`."""
    return tag.removeprefix("loss/train_").removeprefix("loss/")


def curve(curves: Curves, tag: str, note: str = "", document: str = "") -> Evidence:
    """Return a recorded tag as evidence."""
    return Evidence(shown(tag), tuple(float(value) for value in curves[tag]), note, document, tag)


def number(name: str, value: float, note: str = "", document: str = "") -> Evidence:
    """Return one measured number as evidence."""
    return Evidence(name, (float(value),), note, document)


def surety(times_over: float, least: float = 0.6) -> float:
    """Return a confidence that grows with how many times a threshold is passed: `least` at 1, 0.2 more per doubling."""
    if not math.isfinite(times_over):
        return 0.95
    return min(0.95, least + 0.2 * math.log2(max(times_over, 1.0)))


def since(curves: Curves, holds: NDArray[np.bool_]) -> int:
    """Return the first epoch of the unbroken run of epochs, up to the last one, for which `holds` is True."""
    place = running(holds)
    return curves.epoch(-1 if place is None else place)
