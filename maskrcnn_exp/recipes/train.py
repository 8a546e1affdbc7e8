"""Train: the whole of one run, read top-down."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric import Fabric

from maskrcnn_exp.diagnose.facts import RunFacts
from maskrcnn_exp.diagnose.live import LiveDiagnosis
from maskrcnn_exp.engine.black_box import BlackBox
from maskrcnn_exp.engine.checkpoint_folder import CheckpointFolder
from maskrcnn_exp.engine.meter import EpochMeter
from maskrcnn_exp.engine.runtime import launch, on_first, pass_signals_on, spawns
from maskrcnn_exp.engine.saver import RunIdentity, Saver
from maskrcnn_exp.errors import Interrupted, Pruned, UserError, WriteError
from maskrcnn_exp.override_keys import command_line
from maskrcnn_exp.recipes.epochs import Epochs, TrialHandle
from maskrcnn_exp.recipes.loggers import open_sinks
from maskrcnn_exp.recipes.non_finite import Crash, scale_lines
from maskrcnn_exp.recipes.resume import find_checkpoints, open_log, start_or_resume
from maskrcnn_exp.recipes.setup import (
    Data,
    build_state,
    detections_limit,
    fabric_for,
    group_rows,
    open_data,
)
from maskrcnn_exp.recipes.suspects import report_suspects, write_suspects
from maskrcnn_exp.record.atomic import remove_leftovers, write_json_atomic
from maskrcnn_exp.record.console import Console, groups_table, summary_lines
from maskrcnn_exp.record.data_found import DataFound
from maskrcnn_exp.record.environment import environment
from maskrcnn_exp.record.run_columns import listed_run
from maskrcnn_exp.record.run_lock import RunLock
from maskrcnn_exp.record.run_log import RunLog
from maskrcnn_exp.schema import TrainConfig, TrainerConfig
from maskrcnn_exp.stop import stop_on_signals

__all__ = ["RunSettings", "run"]


@dataclass(frozen=True)
class RunSettings:
    """What a run knows beside its configuration."""

    folder: Path
    config_yaml: str  # the composed configuration
    overrides: tuple[str, ...]  # what the user typed


@dataclass(frozen=True)
class _Outcome:
    """How a process ended; carried over process borders."""

    objective: float | None = None
    error: UserError | Interrupted | Pruned | None = None


def run(config: TrainConfig, settings: RunSettings, trial: TrialHandle | None = None) -> float | None:
    """Train, and return the best value of the monitored tag.

    Args:
        trial: Hears of every epoch and may end the run; None outside of a study.

    Raises:
        UserError: the run cannot start, or diverged.
        Interrupted: a signal came; the state is saved.
        Pruned: `trial` ended the run; the state is saved.
    """
    fabric, device_line = fabric_for(config.trainer)
    with pass_signals_on(spawned=spawns(config.trainer.devices, config.trainer.nodes)):
        outcome: _Outcome = launch(fabric, _run_process, config, settings, device_line, trial)
    if outcome.error is not None:
        raise outcome.error
    return outcome.objective


def _run_process(
    fabric: Fabric, config: TrainConfig, settings: RunSettings, device_line: str, trial: TrialHandle | None
) -> _Outcome:
    lock = RunLock(settings.folder)
    try:
        on_first(fabric, lock.acquire)
        return _Outcome(objective=_train(fabric, config, settings, device_line, trial))
    except (UserError, Interrupted, Pruned) as error:
        return _Outcome(error=error)
    except OSError as error:
        told = WriteError.of(error, settings.folder)
        if told is None:
            raise
        return _Outcome(error=told)
    finally:
        lock.release()


def _train(
    fabric: Fabric, config: TrainConfig, settings: RunSettings, device_line: str, trial: TrialHandle | None
) -> float | None:
    trainer = config.trainer
    console = Console.of_process(first=fabric.is_global_zero, outlives_reader=True)
    checkpoints = CheckpointFolder(settings.folder / "checkpoints", trainer.keep_checkpoints)
    if fabric.is_global_zero:
        remove_leftovers(settings.folder)
        remove_leftovers(checkpoints.folder)
    sources = find_checkpoints(config.resume, settings.folder)
    console.print(f"run: {settings.folder}\n{device_line}")

    data = open_data(config, fabric)
    console.print("\n".join(summary_lines(data.train_summary, "training data")))
    console.print("\n".join(summary_lines(data.val_summary, "validation data")))
    detections = detections_limit(config.model.detections_per_image, data)

    state, notes = build_state(config, fabric, data, detections, load_weights=not sources)
    meter = EpochMeter(state.loss_weights)
    start = start_or_resume(state, meter, sources, data.categories, settings.config_yaml)
    said = [*_max_dets_note(detections), *_limit_note(trainer, data), *start.lines]
    said += scale_lines(state.progress.lr_scale) + _done_note(trainer, state.progress.epoch, settings.folder)
    console.print("\n".join([*notes, groups_table(group_rows(state)), *said]))

    log = open_log(settings.folder, start.checkpoint, start.source, writes=fabric.is_global_zero)
    identity = RunIdentity(data.categories, detections, settings.config_yaml, list(settings.overrides))
    saver = Saver(
        checkpoints, state, meter, log, identity, trainer.checkpoint_every_steps, trainer.checkpoint_every_minutes
    )
    if fabric.is_global_zero:
        write_json_atomic(settings.folder / "environment.json", _environment(data, device_line))
        log.share(open_sinks(config.logger, settings.folder, settings.config_yaml, console.print))
        if start.checkpoint is None:
            log.text("config", f"```yaml\n{settings.config_yaml}\n```", 0)
            log.text("groups", f"```\n{groups_table(group_rows(state))}\n```", 0)

    doctor = _doctor(config, settings, data, state.progress.epoch, judges=fabric.is_global_zero)
    crash = Crash(config.on_nan, saver, BlackBox(settings.folder / "black_box"), data.train, console)
    epochs = Epochs(trainer, console, data, saver, crash, detections, doctor, trial)
    listed = _listed(settings, lists=fabric.is_global_zero and trial is None)
    with listed, log, saver, stop_on_signals(epochs.say_signal, also=lambda: console.closed) as stop:
        crash.prepare()
        epochs.run(stop)
        _say_suspects(epochs, settings.folder, log)
    console.print(_farewell(saver, trainer.monitor, settings))
    if answer := epochs.doctor.answer():
        console.print(answer)
    return state.progress.best_value


def _listed(settings: RunSettings, *, lists: bool) -> AbstractContextManager[None]:
    """List the run in TensorBoard's HPARAMS tab; a study lists its trials itself, with its own parameters."""
    return listed_run(settings.folder, settings.config_yaml, settings.overrides) if lists else nullcontext()


def _say_suspects(epochs: Epochs, folder: Path, log: RunLog) -> None:
    """Name the validation pictures whose masks are unlike the rest, where the last epoch was evaluated."""
    state, result = epochs.saver.state, epochs.validation
    if result is None or epochs.doctor.mode == "none" or not state.fabric.is_global_zero:
        return
    report = report_suspects(result, state.evaluated, epochs.data, state.fabric)
    for line in write_suspects(report, folder, log, state.progress.epoch - 1):
        epochs.console.print(line)


def _environment(data: Data, device_line: str) -> dict[str, object]:
    return environment({"device": device_line, "classes": len(data.categories), "data": _found(data)})


def _found(data: Data) -> dict[str, object]:
    summaries = {"train": data.train_summary, "val": data.val_summary}
    return {split: DataFound.of_summary(summary).to_json() for split, summary in summaries.items()}


def _doctor(config: TrainConfig, settings: RunSettings, data: Data, epoch: int, *, judges: bool) -> LiveDiagnosis:
    """Return what judges the run after each epoch; silent on the processes beside the first."""
    facts = RunFacts.of_config(settings.config_yaml, settings.overrides, len(data.categories), _found(data))
    return LiveDiagnosis.start(config.diagnose.mode if judges else "none", settings.folder, facts, epoch)


def _max_dets_note(detections: int) -> list[str]:
    if detections == 100:
        return []
    return [f"maxDets: {detections}, a picture may hold that many objects; the numbers at COCO's 100 stand beside"]


def _limit_note(trainer: TrainerConfig, data: Data) -> list[str]:
    if trainer.limit_batches == 0:
        return []
    pictures = min(data.samples.total, data.val_summary.images)
    return [
        f"trainer.limit_batches={trainer.limit_batches}: a quick look at {data.batches.plan.batches} batches per epoch "
        f"and {pictures} validation pictures"
    ]


def _done_note(trainer: TrainerConfig, next_epoch: int, folder: Path) -> list[str]:
    if next_epoch <= trainer.epochs:
        return []
    return [
        f"nothing is left to train: all {trainer.epochs} epochs of {folder} are done. "
        f"trainer.epochs={2 * trainer.epochs} goes further, another run_dir trains anew."
    ]


def _farewell(saver: Saver, monitor: str, settings: RunSettings) -> str:
    """Return the last lines: the best epoch, where everything is, how to do it again."""
    progress = saver.state.progress
    lines = []
    if progress.best_value is not None:
        best = f"{monitor} {progress.best_value:.4f}, epoch {progress.best_epoch}"
        lines.append(f"best: {best}: {saver.folder.best}")
    else:
        lines.append(f"no best.pt: {monitor} (trainer.monitor) was never recorded with a value that counts")
    checkpoint = saver.folder.last if progress.best_value is None else saver.folder.best
    lines.append(f"look: tensorboard --logdir {shlex.quote(str(settings.folder.parent))}")
    lines.append(f"evaluate: {command_line('evaluate', [f'checkpoint={checkpoint}'])}")
    lines.append(f"again: {command_line('train', settings.overrides)}")
    return "\n".join(lines)
