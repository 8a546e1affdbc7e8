"""Train: the whole of one run, read top-down."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric import Fabric

from maskrcnn_exp.engine.black_box import BlackBox, first_cause
from maskrcnn_exp.engine.checkpoint import CheckpointFolder
from maskrcnn_exp.engine.loop import NonFiniteStep, train_epoch
from maskrcnn_exp.engine.memory import peak_gib
from maskrcnn_exp.engine.meter import EpochMeter, step_values
from maskrcnn_exp.engine.runtime import StopFlag, launch, pass_signals_on, stop_on_signals
from maskrcnn_exp.engine.saver import RunIdentity, Saver
from maskrcnn_exp.engine.state import Progress, is_better
from maskrcnn_exp.engine.validation import ValidationResult, validate
from maskrcnn_exp.errors import DivergedError, Interrupted, UserError
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.recipes.resume import find_checkpoint, open_log, start_or_resume
from maskrcnn_exp.recipes.setup import (
    Data,
    build_state,
    detections_limit,
    fabric_for,
    group_rows,
    open_data,
)
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.atomic import write_json_atomic
from maskrcnn_exp.record.console import Console, epoch_block, groups_table, summary_lines
from maskrcnn_exp.record.environment import environment
from maskrcnn_exp.schema import TrainConfig, TrainerConfig

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
    error: UserError | Interrupted | None = None


def run(config: TrainConfig, settings: RunSettings) -> float | None:
    """Train, and return the best value of the monitored tag.

    Raises:
        UserError: the run cannot start, or diverged.
        Interrupted: a signal came; the state is saved.
    """
    fabric, device_line = fabric_for(config.trainer)
    with pass_signals_on(several=config.trainer.devices > 1):
        outcome: _Outcome = launch(fabric, _run_process, config, settings, device_line)
    if outcome.error is not None:
        raise outcome.error
    return outcome.objective


def _run_process(fabric: Fabric, config: TrainConfig, settings: RunSettings, device_line: str) -> _Outcome:
    try:
        return _Outcome(objective=_train(fabric, config, settings, device_line))
    except (UserError, Interrupted) as error:
        return _Outcome(error=error)


def _train(fabric: Fabric, config: TrainConfig, settings: RunSettings, device_line: str) -> float | None:
    console = Console() if fabric.is_global_zero else Console(open(os.devnull, "w"))  # noqa: SIM115
    source = find_checkpoint(config.resume, settings.folder)
    console.print(f"run: {settings.folder}\n{device_line}")

    data = open_data(config, fabric)
    console.print("\n".join(summary_lines(data.train_summary, "training data")))
    console.print("\n".join(summary_lines(data.val_summary, "validation data")))
    detections = detections_limit(config.model.detections_per_image, data)

    state, notes = build_state(config, fabric, data, detections, load_weights=source is None)
    meter = EpochMeter(state.loss_weights)
    checkpoint, lines = start_or_resume(state, meter, source, data.categories, settings.config_yaml)
    console.print("\n".join([*notes, groups_table(group_rows(state)), *_max_dets_note(detections), *lines]))

    log = open_log(settings.folder, checkpoint, source, writes=fabric.is_global_zero)
    identity = RunIdentity(data.categories, detections, settings.config_yaml, list(settings.overrides))
    checkpoints = CheckpointFolder(settings.folder / "checkpoints", config.trainer.keep_checkpoints)
    trainer = config.trainer
    saver = Saver(
        checkpoints, state, meter, log, identity, trainer.checkpoint_every_steps, trainer.checkpoint_every_minutes
    )
    if fabric.is_global_zero:
        write_json_atomic(settings.folder / "environment.json", environment({"device": device_line}))
        if checkpoint is None:
            log.text("config", f"```yaml\n{settings.config_yaml}\n```", 0)
            log.text("groups", f"```\n{groups_table(group_rows(state))}\n```", 0)

    run = _Run(trainer, console, data, saver, BlackBox(settings.folder / "black_box"), detections)
    with log, stop_on_signals(run.say_signal) as stop:
        run.epochs(stop)
    console.print(run.farewell(settings))
    return state.progress.best_value


def _max_dets_note(detections: int) -> list[str]:
    if detections == 100:
        return []
    return [f"maxDets: {detections}, a picture may hold that many objects; the numbers at COCO's 100 stand beside"]


@dataclass
class _Run:
    """The epochs of one run, on one process."""

    trainer: TrainerConfig
    console: Console
    data: Data
    saver: Saver
    black_box: BlackBox
    detections: int

    def epochs(self, stop: StopFlag) -> None:
        """Train, validate, record and save, epoch by epoch, until the last or until nothing improves."""
        progress = self.saver.state.progress
        while progress.epoch <= self.trainer.epochs and not self._stopped_early():
            self._train_epoch(stop)
            result = self._validate(stop) if self._is_evaluated(progress.epoch) else None
            self._finish_epoch(result)
            if stop.agreed(self.saver.state.fabric):
                self._interrupt()

    def _train_epoch(self, stop: StopFlag) -> None:
        state, meter = self.saver.state, self.saver.meter
        total = self.data.batches.plan.batches
        steps = math.ceil(total / self.trainer.accumulate_steps)
        done = math.ceil(state.progress.batch / self.trainer.accumulate_steps)
        stream = train_epoch(
            state,
            self.data.batches.epoch(state.progress.epoch, skip=state.progress.batch),
            total_batches=total,
            accumulate=self.trainer.accumulate_steps,
            measure_every=self.trainer.log_every_steps,
        )
        with self.console.progress(steps, done, f"epoch {state.progress.epoch}/{self.trainer.epochs}") as bar:
            try:
                for record in stream:
                    meter.add(record)
                    self.black_box.remember(record)
                    if record.step % self.trainer.log_every_steps == 0:
                        self.saver.log.step(record.step, step_values(record))
                    bar.advance({**record.losses, "total": record.total})
                    if stop.agreed(state.fabric):
                        self._interrupt()
                    if self.saver.due():
                        self.saver.save()
            except NonFiniteStep as event:
                raise self._diverged(event) from event

    def _validate(self, stop: StopFlag) -> ValidationResult:
        state = self.saver.state
        with self.console.progress(len(self.data.samples), description="validation") as bar:
            try:
                return validate(
                    state.evaluated,
                    self.data.samples,
                    self.data.ground_truth,
                    fabric=state.fabric,
                    max_dets=self.detections,
                    loss_weights=state.loss_weights,
                    stop=stop if state.fabric.world_size == 1 else lambda: False,
                    progress=bar.advance,
                )
            except Interrupted:
                self._interrupt()
                raise

    def _finish_epoch(self, result: ValidationResult | None) -> None:
        """Record and print the epoch, decide whether it is the best one, save."""
        state, meter = self.saver.state, self.saver.meter
        epoch = state.progress.epoch
        values = meter.values() | {"memory/peak_gib": peak_gib(state.fabric.device)}
        if result is not None:
            values |= result.values()
        self.saver.log.epoch(epoch, values)
        self.console.print(_block(epoch, self.trainer.epochs, values, result))
        best = self._is_best(state.progress, values) if result is not None else False
        state.progress.next_epoch()
        meter.reset()
        self.saver.save(best=best, epoch=epoch)

    def _is_best(self, progress: Progress, values: dict[str, float]) -> bool:
        value = values.get(self.trainer.monitor, math.nan)
        if value == -1 or not is_better(value, progress.best_value, self._mode()):
            progress.evals_since_best += 1
            return False
        progress.best_value, progress.best_epoch, progress.evals_since_best = value, progress.epoch, 0
        return True

    def _mode(self) -> str:
        if self.trainer.monitor_mode != "auto":
            return self.trainer.monitor_mode
        falls = self.trainer.monitor.startswith(("loss/", "time/", "memory/", "mask/false"))
        return "min" if falls else "max"

    def _is_evaluated(self, epoch: int) -> bool:
        return epoch % self.trainer.eval_every_epochs == 0 or epoch == self.trainer.epochs

    def _stopped_early(self) -> bool:
        limit, progress = self.trainer.early_stop_evals, self.saver.state.progress
        if limit == 0 or progress.evals_since_best < limit:
            return False
        self.console.print(f"stopped early: {limit} evaluations without a better {self.trainer.monitor}")
        return True

    def _diverged(self, event: NonFiniteStep) -> DivergedError:
        folder = self.black_box.write(event, self.data.train, self.saver.capture())
        cause = first_cause(event.record)
        return DivergedError(
            f"step {event.record.step}, epoch {self.saver.state.progress.epoch}: {cause}. The weights were not touched "
            f"by this step. What is known of it lies in {folder}.\n"
            f"Run that step again, picture by picture: python -m maskrcnn_exp train replay={folder}\n"
            f"The last good checkpoint: {self.saver.folder.last}"
        )

    def say_signal(self, name: str) -> None:
        self.console.print(f"{name}: saving after this step; once more to leave at once")

    def _interrupt(self) -> None:
        self.saver.save()
        folder = self.saver.folder.folder.parent
        words = " ".join(word for word in self.saver.identity.overrides if not word.startswith("run_dir="))
        command = f"python -m maskrcnn_exp train {words}".rstrip()
        self.console.print(f"saved {self.saver.folder.last}\nGo on with: {command} run_dir={folder}")
        raise Interrupted

    def farewell(self, settings: RunSettings) -> str:
        """Return the last lines: the best epoch, where everything is, how to do it again."""
        progress = self.saver.state.progress
        lines = []
        if progress.best_value is not None:
            best = f"{self.trainer.monitor} {progress.best_value:.4f}, epoch {progress.best_epoch}"
            lines.append(f"best: {best}: {self.saver.folder.best}")
        lines.append(f"look: tensorboard --logdir {settings.folder.parent}")
        lines.append(f"evaluate: python -m maskrcnn_exp evaluate checkpoint={self.saver.folder.best}")
        words = " ".join(settings.overrides)
        lines.append(f"again: python -m maskrcnn_exp train {words}".rstrip())
        return "\n".join(lines)


def _block(epoch: int, epochs: int, values: dict[str, float], result: ValidationResult | None) -> str:
    losses = {name: values[tags.train_loss_tag(name)] for name in LOSSES}
    total = values[tags.TRAIN_TOTAL]
    if result is None:
        return epoch_block(epoch, epochs, losses, total)
    return epoch_block(
        epoch,
        epochs,
        losses,
        total,
        val_total=result.total,
        bbox_ap=result.coco.bbox["AP"],
        bbox_ap50=result.coco.bbox["AP50"],
        segm_ap=result.coco.segm["AP"],
        segm_ap50=result.coco.segm["AP50"],
    )
