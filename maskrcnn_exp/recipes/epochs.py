"""The epochs of one run: train, validate, record, print, save."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from maskrcnn_exp.diagnose.live import LiveDiagnosis
from maskrcnn_exp.engine.loop import NonFiniteStep, train_epoch
from maskrcnn_exp.engine.memory import peak_gib
from maskrcnn_exp.engine.meter import step_values
from maskrcnn_exp.engine.preview import choose_previews
from maskrcnn_exp.engine.runtime import on_first
from maskrcnn_exp.engine.saver import Saver
from maskrcnn_exp.engine.state import Progress, is_better
from maskrcnn_exp.engine.validation import ValidationResult, validate
from maskrcnn_exp.errors import DivergedError, Interrupted, Pruned
from maskrcnn_exp.model.parts import LOSSES
from maskrcnn_exp.override_keys import command_line
from maskrcnn_exp.recipes.board_pages import write_board_pages
from maskrcnn_exp.recipes.non_finite import Crash
from maskrcnn_exp.recipes.setup import Data
from maskrcnn_exp.recipes.typed import path_word
from maskrcnn_exp.record import tags
from maskrcnn_exp.record.console import Console, epoch_block
from maskrcnn_exp.schema import TrainerConfig
from maskrcnn_exp.stop import StopFlag

__all__ = ["Epochs", "TrialHandle"]


class TrialHandle(Protocol):
    """What a run knows of the study that it is a trial of. It is pickled to the run's processes."""

    def report(self, epoch: int, values: Mapping[str, float]) -> str | None:
        """Hear of an epoch on the run's first process; return the reason to end the run, or None to go on.

        Called once for every epoch, evaluated or not, when its record and its checkpoint are written. A kill between
        those and the call leaves the epoch unreported: a resumed run goes on with the next one.

        Args:
            epoch: Counted from 1.
            values: The epoch's tags as recorded.
        """


@dataclass
class Epochs:
    """The epochs of one run, on one process."""

    trainer: TrainerConfig
    console: Console
    data: Data
    saver: Saver
    crash: Crash
    detections: int
    doctor: LiveDiagnosis
    trial: TrialHandle | None = None
    validation: ValidationResult | None = None  # the last one, of the weights as they are

    @property
    def last_epoch(self) -> int:
        return min(self.trainer.epochs, self.trainer.stop_after_epoch or self.trainer.epochs)

    def run(self, stop: StopFlag) -> None:
        """Train, validate, record and save, epoch by epoch, until the last or until nothing improves."""
        while (progress := self.saver.state.progress).epoch <= self.last_epoch and not self._stopped_early():
            try:
                self._train_epoch(stop)
                self.crash.refuse_non_finite()
            except NonFiniteStep as event:
                self.doctor = self.crash.answer(event, self.doctor)
                continue
            self.validation = self._validate(stop) if self._is_evaluated(progress.epoch) else None
            reason = self._report(progress.epoch, self._finish_epoch(self.validation))
            # A signal goes first: it is meant for whoever started the trial too, who must not begin another one.
            if stop.agreed(self.saver.state.fabric):
                self._interrupt()
            if reason is not None and progress.epoch <= self.last_epoch:  # nothing is saved by pruning the last one
                self.console.print(f"pruned: {reason}")
                raise Pruned(reason)
            if self._stopped_by_verdict():
                return

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
        )
        with self.console.progress(steps, done, f"epoch {state.progress.epoch}/{self.trainer.epochs}") as bar:
            for record in stream:
                meter.add(record)
                self.crash.black_box.remember(record)
                if record.step % self.trainer.log_every_steps == 0:
                    values = step_values(record)
                    self.saver.log.step(record.step, values)
                    self.doctor.after_step(record.step, values)
                bar.advance({**record.losses, "total": record.total})
                if stop.agreed(state.fabric):
                    self._interrupt()
                if self.saver.due():
                    self.crash.refuse_non_finite(record)
                    self.saver.save()

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
                    keep=self._previews(),
                )
            except Interrupted:
                self._interrupt()
                raise

    def _previews(self) -> frozenset[int]:
        samples = self.data.samples
        return choose_previews(self.trainer.preview_pictures, samples.total, self.saver.state.fabric.world_size)

    def _finish_epoch(self, result: ValidationResult | None) -> dict[str, float]:
        """Record and print the epoch, decide whether it is the best one, save; return what was recorded."""
        state, meter = self.saver.state, self.saver.meter
        epoch = state.progress.epoch
        values = meter.values() | {"memory/peak_gib": peak_gib(state.fabric.device)}
        if result is not None:
            values |= result.values()
            if state.fabric.is_global_zero:
                write_board_pages(self.saver.folder.folder.parent, epoch, result, self.data, self.saver.log)
        recorded = self.saver.log.epoch(epoch, values)
        notes = self.doctor.after_epoch(epoch, recorded, self.saver.log)
        self.console.print(_block(epoch, self.trainer.epochs, values, result, notes))
        best = self._is_best(state.progress, values) if result is not None else False
        state.progress.next_epoch()
        meter.reset()
        self.saver.wait()  # a failure of the first process is everyone's at a place that all of them reach
        self.saver.save(best=best, epoch=epoch)
        return recorded

    def _report(self, epoch: int, values: Mapping[str, float]) -> str | None:
        """Tell the study of an epoch; return its reason to stop, the same on every process."""
        trial = self.trial
        if trial is not None:
            self.saver.wait()
        return None if trial is None else on_first(self.saver.state.fabric, lambda: trial.report(epoch, values))

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
        return "min" if tags.falls(self.trainer.monitor) else "max"

    def _is_evaluated(self, epoch: int) -> bool:
        return epoch % self.trainer.eval_every_epochs == 0 or epoch == self.last_epoch

    def _stopped_early(self) -> bool:
        limit, progress = self.trainer.early_stop_evals, self.saver.state.progress
        if limit == 0 or progress.evals_since_best < limit:
            return False
        self.console.print(f"stopped early: {limit} evaluations without a better {self.trainer.monitor}")
        return True

    def _stopped_by_verdict(self) -> bool:
        """Say whether a verdict ends the run; by a divergence, and in a study, with what says so."""
        verdict = on_first(self.saver.state.fabric, lambda: self.doctor.stop)
        if verdict is None or self.saver.state.progress.epoch > self.last_epoch:
            return False
        self.console.print(f"stopped by diagnose.mode=stop: {verdict.rule} ({verdict.part})")
        if self.trial is not None:
            raise Pruned(verdict.says)
        if verdict.rule == "loss_exploding":
            raise DivergedError(self.doctor.answer())
        return True

    def say_signal(self, name: str) -> None:
        self.console.print(f"{name}: saving after this step; once more to leave at once")

    def _interrupt(self) -> None:
        self.saver.save()
        self.saver.wait()
        folder = self.saver.folder.folder.parent
        words = [word for word in self.saver.identity.overrides if not word.startswith("run_dir=")]
        command = command_line("train", [*words, path_word("run_dir", folder)])
        self.console.print(f"saved {self.saver.folder.last}\nGo on with: {command}")
        raise Interrupted


def _block(
    epoch: int, epochs: int, values: dict[str, float], result: ValidationResult | None, notes: Mapping[str, str]
) -> str:
    losses = {name: values[tags.train_loss_tag(name)] for name in LOSSES}
    total = values[tags.TRAIN_TOTAL]
    if result is None:
        return epoch_block(epoch, epochs, losses, total, notes=notes)
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
        notes=notes,
    )
