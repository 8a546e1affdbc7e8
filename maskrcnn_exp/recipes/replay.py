"""Replay: run one bad step again from its black box, whole and then picture by picture, in one process."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from maskrcnn_exp.config_check import check_or_raise
from maskrcnn_exp.data.target import Sample
from maskrcnn_exp.engine.black_box import first_cause, read_report
from maskrcnn_exp.engine.checkpoint import Checkpoint, read_checkpoint, restore
from maskrcnn_exp.engine.loop import NonFiniteStep, StepRecord, run_step
from maskrcnn_exp.engine.runtime import launch
from maskrcnn_exp.engine.state import TrainState
from maskrcnn_exp.errors import DivergedError
from maskrcnn_exp.model.build import hold_norms
from maskrcnn_exp.recipes.from_checkpoint import config_of
from maskrcnn_exp.recipes.resume import check_categories
from maskrcnn_exp.recipes.setup import build_state, fabric_for, open_data
from maskrcnn_exp.recipes.words import split_words
from maskrcnn_exp.record.console import Console
from maskrcnn_exp.schema import TrainConfig

__all__ = ["run_words"]


def run_words(words: Sequence[str]) -> None:
    """Replay as the command line says: `replay=FOLDER [overrides]`.

    Raises:
        DivergedError: the step is still not finite; the message names the pictures that alone suffice.
    """
    own, overrides = split_words(words, ("replay",))
    folder = Path(own["replay"])
    report, state_path = read_report(folder)
    checkpoint = read_checkpoint(state_path)
    if not report["batch_sizes"]:
        raise DivergedError(f"{folder}: {report['cause']}. It holds the state after the step: nothing to replay.")
    config, _ = config_of(checkpoint, overrides)
    check_or_raise(config)
    config.trainer.devices = config.trainer.nodes = 1  # a picture is alone only where no process has another one
    fabric, device_line = fabric_for(config.trainer)
    console = Console()
    console.print(f"replay: {folder}, step {report['step']}\nthen: {report['cause']}\n{device_line}")
    finite: bool = launch(fabric, _replay, config, checkpoint, state_path, report)
    if not finite:
        raise DivergedError(f"step {report['step']} is not finite again. Change a setting, or mend the pictures.")
    console.print("the step is finite now")


def _replay(
    fabric: Fabric, config: TrainConfig, checkpoint: Checkpoint, source: Path, report: Mapping[str, Any]
) -> bool:
    console = Console()
    data = open_data(config, fabric)
    check_categories(checkpoint, data.categories, source)
    state, _ = build_state(config, fabric, data, checkpoint.detections_per_image, load_weights=False)
    restore(state, checkpoint, source)
    stream = data.batches.epoch(state.progress.epoch, skip=state.progress.batch)
    samples = [next(stream) for _ in report["batch_sizes"]]

    whole, finite = _try_step(state, samples)
    console.print("\n".join(["all pictures of the step:", *_lines(whole)]))
    for sample in (sample for batch in samples for sample in batch):
        restore(state, checkpoint, source)
        alone, fine = _try_step(state, [[sample]])
        verdict = "finite" if fine else first_cause(alone)
        console.print(f"   picture {data.train.image_id(sample.index)} alone: {verdict}")
    return finite


def _try_step(state: TrainState, samples: list[list[Sample]]) -> tuple[StepRecord, bool]:
    state.module.train()
    hold_norms(state.network, state.frozen_parts)
    try:
        return run_step(state, samples), True
    except NonFiniteStep as event:
        return event.record, False


def _lines(record: StepRecord) -> list[str]:
    losses = [f"   {name}: {value:.4f}" for name, value in sorted(record.losses.items())]
    norms = [f"   gradient norm of {part}: {_norm(value)}" for part, value in record.grad_norm.items()]
    return [f"   Total: {record.total:.4f}", *losses, *norms]


def _norm(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else str(value)
