"""Reading and comparing runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from maskrcnn_exp.record.history import History

_CLOCK = ("time/", "memory/")
"""Tags that say how long and how large, which no two runs share."""


def assert_same_record(left: Path, right: Path) -> None:
    """Every point of every tag is the same, bit for bit, but for clocks and memory."""
    a, b = History.read(left), History.read(right)
    assert a.tags == b.tags
    for tag in a.tags:
        if tag.startswith(_CLOCK):
            continue
        np.testing.assert_array_equal(a.series(tag).steps, b.series(tag).steps, err_msg=tag)
        np.testing.assert_array_equal(a.series(tag).values, b.series(tag).values, err_msg=tag)


def assert_same_checkpoint(left: Path, right: Path) -> None:
    """Weights, optimiser state and progress are the same, bit for bit."""
    a, b = (torch.load(path, weights_only=True) for path in (left, right))
    assert a["progress"] == b["progress"]
    _assert_same("model", a["model"], b["model"])
    _assert_same("optimizer", a["optimizer"], b["optimizer"])
    _assert_same("ema", a["ema"], b["ema"])


def _assert_same(where: str, left: object, right: object) -> None:
    if isinstance(left, torch.Tensor):
        assert isinstance(right, torch.Tensor), where
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert isinstance(right, dict), where
        assert left.keys() == right.keys(), where
        for key in left:
            _assert_same(f"{where}.{key}", left[key], right[key])
    elif isinstance(left, list):
        assert isinstance(right, list), where
        for position, (one, other) in enumerate(zip(left, right, strict=True)):
            _assert_same(f"{where}[{position}]", one, other)
    else:
        assert left == right, where
