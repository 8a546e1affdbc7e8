"""Curves of real runs, kept small, and what becomes of them when something is changed.

`records/*.txt` hold what `train` recorded on a two-core machine: the words of the command, then a tag per line with
`epoch:value` pairs, four digits. Step tags keep the gradient norms and the total.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from maskrcnn_exp.compose import compose
from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.facts import RunFacts
from maskrcnn_exp.record.atomic import write_json_atomic
from maskrcnn_exp.record.run_log import RunLog

__all__ = ["HEALTHY", "changed", "facts_for", "made", "recorded", "recorded_points", "with_facts", "write_run"]

_FOLDER = Path(__file__).parent / "records"

HEALTHY = ("shapes_mult_1", "shapes_mult_10", "shapes_always_clipped", "nuclei", "balloon")
"""Runs that learned well."""

_CLASSES = {"nuclei": 1, "balloon": 1}

Points = dict[str, dict[int, float]]


@lru_cache
def facts_for(words: str, classes: int = 3) -> RunFacts:
    """Return what the configuration of `train WORDS` says."""
    typed = words.split()
    text = OmegaConf.to_yaml(compose([*typed, "run_dir=run"]), resolve=True)
    return RunFacts.of_config(text, typed, classes)


def recorded_points(name: str) -> tuple[Points, Points, RunFacts]:
    """Return a record's points by epoch and by step, and its configuration."""
    first, *lines = (_FOLDER / f"{name}.txt").read_text().splitlines()
    by_epoch: Points = {}
    by_step: Points = {}
    for line in lines:
        tag, _, text = line.partition(",")
        pairs = (pair.split(":") for pair in text.split())
        (by_step if tag.startswith("step/") else by_epoch)[tag] = {int(at): float(value) for at, value in pairs}
    return by_epoch, by_step, facts_for(first.removeprefix("# train "), _CLASSES.get(name, 3))


def write_run(name: str, folder: Path) -> Path:
    """Write a record as the folder of a run: event file, configuration, environment. Return the folder."""
    by_epoch, by_step, facts = recorded_points(name)
    (folder / ".hydra").mkdir(parents=True)
    words = list(facts.overrides)
    text = OmegaConf.to_yaml(compose([*words, "run_dir=run"]), resolve=True)
    (folder / ".hydra/config.yaml").write_text(text)
    (folder / ".hydra/overrides.yaml").write_text("".join(f"- {word}\n" for word in words))
    write_json_atomic(folder / "environment.json", {"classes": facts.classes})
    with RunLog.open(folder) as log:
        for step in sorted(by_step["step/total"]):
            log.step(step, {tag: points[step] for tag, points in by_step.items()})
        for epoch in sorted(by_epoch["loss/train_total"]):
            log.epoch(epoch, {tag: points.get(epoch) for tag, points in by_epoch.items()})
    return folder


def recorded(name: str, epochs: int | None = None) -> Curves:
    """Return a record's curves, as they were after `epochs` epochs."""
    by_epoch, by_step, facts = recorded_points(name)
    last = max(by_epoch["loss/train_total"])
    steps = max(by_step["step/total"]) / last * (epochs or last) + 0.5
    return Curves.of_points(
        name,
        {
            tag: {at: value for at, value in points.items() if at <= (epochs or last)}
            for tag, points in by_epoch.items()
        },
        step_points={tag: {at: v for at, v in points.items() if at <= steps} for tag, points in by_step.items()},
        facts=facts,
    )


def changed(curves: Curves, **by_tag: float | Sequence[float] | Callable[[Any], Any]) -> Curves:
    """Return curves with some tags replaced: by a number throughout, by values, or by a function of the old ones.

    Tags are written with `__` for the slash: `mAP__segm_AP`.
    """
    values = dict(curves.values)
    for name, new in by_tag.items():
        tag = name.replace("__", "/")
        made = new(curves[tag]) if callable(new) else new
        values[tag] = np.broadcast_to(np.asarray(made, dtype=np.float64), len(curves)).copy()
    return replace(curves, values=values)


def with_facts(curves: Curves, words: str | None = None, **facts: Any) -> Curves:
    """Return curves of a run that was started with other words, or whose configuration says other things."""
    base = curves.facts if words is None else facts_for(words, curves.facts.classes or 3)
    return replace(curves, facts=replace(base, **facts))


def made(by_tag: Mapping[str, Sequence[float]], **facts: Any) -> Curves:
    """Return curves of made-up values per epoch from 1; NaN leaves a point out, the configuration is unknown."""
    points = {
        tag: {epoch: value for epoch, value in enumerate(values, start=1) if not np.isnan(value)}
        for tag, values in by_tag.items()
    }
    return Curves.of_points("made", points, facts=replace(RunFacts(), **facts))
