"""A comparison as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from maskrcnn_exp.compare.conclusion import conclusion
from maskrcnn_exp.compare.groups import Comparison, Group
from maskrcnn_exp.compare.runs import CURVES, Run

__all__ = ["to_json"]

_FORMAT = 1


def to_json(comparison: Comparison, skipped: Sequence[str], top: int | None = None) -> dict[str, Any]:
    """Return the comparison with every number of its tables; null is unknown."""
    noise = comparison.noise
    return {
        "format": _FORMAT,
        "metric": comparison.metric,
        "differs": list(comparison.keys),
        "noise": None if noise is None else {"sd": noise[0], "degrees_of_freedom": noise[1]},
        "conclusion": conclusion(comparison),
        "groups": [_group(group, comparison) for group in comparison.groups[:top]],
        "skipped": list(skipped),
    }


def _group(group: Group, comparison: Comparison) -> dict[str, Any]:
    verdict = None if group is comparison.baseline else comparison.verdict(group, comparison.baseline)
    return {
        "settings": dict(group.differs),
        "mean": _number(group.mean_best(comparison.metric)),
        "sd": _number(group.spread(comparison.metric)),
        "baseline": verdict is None,
        "against_baseline": None
        if verdict is None
        else {
            "difference": _number(verdict.difference),
            "half_width_95": _number(verdict.half_width),
            "outcome": verdict.outcome,
        },
        "runs": [_run(run, comparison.metric) for run in group.runs],
    }


def _run(run: Run, metric: str) -> dict[str, Any]:
    tags = dict.fromkeys((*CURVES, metric))
    best = {tag: run.best(tag) for tag in tags}
    return {
        "name": run.name,
        "folder": str(run.folder),
        "overrides": list(run.overrides),
        "seed": run.seed,
        "epochs": run.epochs,
        "state": run.state or "finished",
        "verdict": run.verdict or None,
        "best": {tag: {"epoch": point[0], "value": point[1]} for tag, point in best.items() if point is not None},
        "last": {tag: value for tag in tags if (value := _number(run.last(tag))) is not None},
        "seconds": _number(run.seconds),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
