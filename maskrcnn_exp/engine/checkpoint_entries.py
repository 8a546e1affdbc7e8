"""Whether the entries of a checkpoint are what ours are: one made by hand must end in words, not inside torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

import torch

from maskrcnn_exp.engine.state import Progress

__all__ = ["misplaced_entries", "optimizer_misfit"]


def misplaced_entries(content: Mapping[str, Any]) -> list[str]:
    """Return the names of the entries that hold something else than ours do; an entry that is absent is none."""
    return [name for name, fits in _FITS.items() if name in content and not fits(content[name])]


def optimizer_misfit(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> str | None:
    """Return what keeps an optimiser from going on with a saved state; None where nothing does.

    Args:
        saved: A state dict of an optimiser whose groups hold the same parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    groups = saved.get("param_groups")
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return "it has no parameter groups"
    if [len(group.get("params", ())) for group in groups] != [len(group["params"]) for group in optimizer.param_groups]:
        return "its groups are of other lengths"
    for number, values in saved.get("state", {}).items():
        if not isinstance(number, int) or not 0 <= number < len(parameters) or not isinstance(values, dict):
            return f"its state names a parameter {number!r}"
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.dim() and value.shape != parameters[number].shape:
                return f"its {name} of a parameter {list(parameters[number].shape)} is {list(value.shape)}"
    kept = {name for values in saved.get("state", {}).values() for name in values}
    for kind, needed in _STATE_OF.items():
        if isinstance(optimizer, kind) and kept and not needed <= kept:
            return f"it holds {', '.join(sorted(map(str, kept)))}, {kind.__name__} needs {', '.join(sorted(needed))}"
    return None


_STATE_OF: Final[dict[type, frozenset[str]]] = {
    torch.optim.SGD: frozenset({"momentum_buffer"}),
    torch.optim.AdamW: frozenset({"step", "exp_avg", "exp_avg_sq"}),
}
"""What an optimiser takes for granted once it has any state of a parameter."""


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(tensor, torch.Tensor) for key, tensor in value.items()
    )


def _is_progress(value: object) -> bool:
    known = {field.name for field in fields(Progress)}
    if not isinstance(value, dict) or not {"step", "epoch"} <= value.keys() <= known:
        return False
    counts = [value[name] for name in _COUNTS if name in value]
    return all(map(_is_count, counts)) and isinstance(value.get("best_value"), int | float | None)


_COUNTS: Final = ("step", "epoch", "batch", "best_epoch", "evals_since_best")


def _is_meter(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(sums, dict) and all(isinstance(number, int | float) for number in sums.values())
        for sums in value.values()
    )


def _are_pairs(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value)


def _are_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


_FITS: Final[dict[str, Callable[[Any], bool]]] = {
    "model": _is_state,
    "optimizer": lambda value: isinstance(value, dict),
    "ema": lambda value: value is None or _is_state(value),
    "groups": _are_pairs,
    "progress": _is_progress,
    "meter": _is_meter,
    "record_offset": _is_count,
    "categories": _are_pairs,
    "detections_per_image": _is_count,
    "config": lambda value: isinstance(value, str),
    "overrides": _are_words,
}
