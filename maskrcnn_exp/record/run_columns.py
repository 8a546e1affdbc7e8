"""A single run as a line of TensorBoard's HPARAMS tab: what one varies, what was typed, what came out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import yaml

from maskrcnn_exp.errors import DataError
from maskrcnn_exp.model.parts import LOSSES, PARTS
from maskrcnn_exp.override_keys import bare_key
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.hparams import write_hparams

__all__ = ["SETTINGS", "list_run", "listed_run"]

SETTINGS: Final = (
    "lr.base",
    *(f"lr.{part}_mult" for part in PARTS),
    "clip.norm",
    "optimizer.default_lr",
    "optimizer.weight_decay",
    "model.backbone",
    "trainer.epochs",
    "trainer.batch_size",
    "seed",
)
"""Columns of every run: the tab takes its columns from one run, so all have these."""

_NUMBERS: Final = (
    tags.map_tag("segm", "AP"),
    tags.map_tag("bbox", "AP"),
    tags.VAL_TOTAL,
    *map(tags.train_loss_tag, LOSSES),
    *map(tags.val_loss_tag, LOSSES),
)
_BEST: Final = (tags.map_tag("segm", "AP"), tags.map_tag("bbox", "AP"))
_ASKED_FIRST: Final = "lr.mask_mult"
_OF_THE_RUN: Final = ("run_dir", "resume", "replay")


@contextmanager
def listed_run(folder: Path, config_yaml: str, overrides: Sequence[str]) -> Iterator[None]:
    """List the run when what is inside ends: as failed where an exception ends it, which is the one that is told."""
    config = yaml.safe_load(config_yaml)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            list_run(folder, config, overrides, failed=True)
        raise
    list_run(folder, config, overrides)


def list_run(folder: Path, config: Mapping[str, Any], overrides: Sequence[str], *, failed: bool = False) -> None:
    """List a run in the HPARAMS tab, in place of an earlier line of it.

    Args:
        folder: The run's; its record gives the numbers.
        config: The composed configuration as a tree.
        overrides: What was typed; their keys are columns too, the first ones.
        failed: The run ended before its last epoch.
    """
    typed = [bare_key(word) for word in overrides if "=" in word]
    keys = dict.fromkeys([*SETTINGS, *(key for key in typed if key not in _OF_THE_RUN)])
    values = {key: value for key in keys for value in _at(config, key)}
    write_hparams(folder, values, _results(folder), first={*typed, _ASKED_FIRST}, failed=failed)


def _at(config: Mapping[str, Any], key: str) -> Iterator[object]:
    """Yield the value under a dotted key, if it is one; a group's choice, such as `model=tiny`, has keys of its own."""
    node: Any = config
    for word in key.split("."):
        if not isinstance(node, Mapping) or word not in node:
            return
        node = node[word]
    if not isinstance(node, Mapping):
        yield node if node is not None else "null"


def _results(folder: Path) -> dict[str, float]:
    """Return last and best values; NaN, which only makes a column, where nothing was recorded."""
    results = dict.fromkeys((*_NUMBERS, *(f"{tag}@best" for tag in _BEST)), math.nan)
    try:
        history = History.read(folder, _NUMBERS)
    except DataError:
        return results
    for tag in _NUMBERS:
        if (last := history.last(tag)) is not None:
            results[tag] = last[1]
    for tag in _BEST:
        if (best := history.best(tag, "max")) is not None:
            results[f"{tag}@best"] = best[1]
    return results
