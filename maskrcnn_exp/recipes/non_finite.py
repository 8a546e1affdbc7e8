"""What a run does when a loss, a gradient or a weight is not finite: a black box, then the end, or back and slower."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from maskrcnn_exp.data.target import InstanceDataset
from maskrcnn_exp.diagnose.live import LiveDiagnosis
from maskrcnn_exp.engine.black_box import BlackBox, cause_of
from maskrcnn_exp.engine.checkpoint import Checkpoint, read_checkpoint, restore
from maskrcnn_exp.engine.loop import NonFiniteStep, StepRecord
from maskrcnn_exp.engine.nan_cause import parts_at_fault
from maskrcnn_exp.engine.runtime import on_first
from maskrcnn_exp.engine.saver import Saver
from maskrcnn_exp.errors import CheckpointError, DivergedError
from maskrcnn_exp.model.parts import Part
from maskrcnn_exp.override_keys import command_line
from maskrcnn_exp.record.console import Console
from maskrcnn_exp.schema import OnNanConfig, RollbackConfig

__all__ = ["Crash", "scale_lines"]

_TAG = "rollback"  # of the text in TensorBoard


@dataclass
class Crash:
    """Answers to a step that is not finite; all processes must give them together."""

    on_nan: OnNanConfig
    saver: Saver
    black_box: BlackBox
    dataset: InstanceDataset
    console: Console

    def prepare(self) -> None:
        """Before the first step: keep what a rollback may need, which is the start and the last two epochs' ends."""
        if not isinstance(self.on_nan, RollbackConfig):
            return
        folder, progress = self.saver.folder, self.saver.state.progress
        folder.keep = max(folder.keep, 2)
        if self.saver.state.fabric.is_global_zero:
            folder.drop_after(progress.step)
        if not folder.last.is_file():
            self.saver.save(epoch=progress.epoch - 1)

    def refuse_non_finite(self, record: StepRecord | None = None) -> None:
        """Raise NonFiniteStep where the weights are not finite: no checkpoint may hold them.

        Args:
            record: Of the step that made them; the last one if not given.
        """
        bad = self.saver.state.non_finite_tensors()
        if bad:
            raise NonFiniteStep(record or self.black_box.steps[-1], [], tensors=bad)

    def answer(self, event: NonFiniteStep, doctor: LiveDiagnosis) -> LiveDiagnosis:
        """Write the black box; then go back to a good checkpoint and return what judges the run from there on.

        Raises:
            DivergedError: the run is not to go back, has done so as often as it may, or has nothing to go back to.
        """
        with suppress(CheckpointError):  # the step's own error is the one to tell
            self.saver.wait()
        folder = self.black_box.write(event, self.dataset, self.saver.capture())
        fabric, progress = self.saver.state.fabric, self.saver.state.progress
        # Where a weight is bad the step itself began well: what it began with is good.
        first_bad = event.record.step + bool(event.tensors)
        source, why_not = on_first(fabric, lambda: self._place_to_go(first_bad))
        if source is None:
            said = on_first(fabric, lambda: doctor.after_crash(progress.epoch))
            last = self.saver.folder.last
            good = f"The last good checkpoint: {last}" if last.is_file() else "No checkpoint was written before it."
            raise DivergedError("\n".join(filter(None, [_told(event, folder, progress.epoch), why_not, good, said])))
        self._go_back(event, read_checkpoint(source), source)
        return LiveDiagnosis.start(doctor.mode, doctor.folder, doctor.facts, self.saver.state.progress.epoch)

    def _place_to_go(self, step: int) -> tuple[Path | None, str]:
        """Return the checkpoint to go back to, or None and why there is none."""
        if not isinstance(self.on_nan, RollbackConfig):
            return None, ""
        done, limit = self.saver.state.progress.rollbacks, self.on_nan.max_rollbacks
        if len(done) >= limit:
            return (
                None,
                f"on_nan=rollback: on_nan.max_rollbacks={limit}, and the run went back {len(done)} times.",
            )
        place = self.saver.folder.good_before(step, {back for _, back in done})
        return place, "" if place else "on_nan=rollback: no checkpoint from which a finite step was taken."

    def _go_back(self, event: NonFiniteStep, checkpoint: Checkpoint, source: Path) -> None:
        assert isinstance(self.on_nan, RollbackConfig)
        state, before, factor = self.saver.state, self.saver.state.progress, self.on_nan.lr_factor
        parts = parts_at_fault(self.black_box.steps, event.tensors)
        restore(state, checkpoint, source)
        self.saver.meter.load_state_dict(checkpoint.meter)
        state.progress = replace(
            state.progress,
            rollbacks=[*before.rollbacks, [event.record.step, state.progress.step]],
            lr_scale=before.lr_scale | {part: before.lr_scale.get(part, 1.0) * factor for part in parts},
            # best.pt stays what it is, also where its epoch is undone: it was finite and it was measured.
            best_value=before.best_value,
            best_epoch=before.best_epoch,
            evals_since_best=before.evals_since_best,
        )
        self.black_box.forget_after(state.progress.step)
        self.saver.go_back(checkpoint)
        text = self._text(event, source.name, parts)
        self.console.print(text)
        self.saver.log.text(_TAG, text, event.record.step)
        self.saver.save()  # once more: with the text
        self.saver.wait()

    def _text(self, event: NonFiniteStep, source: str, parts: tuple[Part, ...]) -> str:
        assert isinstance(self.on_nan, RollbackConfig)
        progress = self.saver.state.progress
        return "\n".join(
            [
                f"rolled back ({len(progress.rollbacks)} of {self.on_nan.max_rollbacks}): step {event.record.step}: "
                f"{cause_of(event)}; back to {source}, epoch {progress.epoch}, step {progress.step}; "
                f"learning rate × {self.on_nan.lr_factor:g} for {', '.join(parts)}",
                *scale_lines(progress.lr_scale),
            ]
        )


def _told(event: NonFiniteStep, folder: Path, epoch: int) -> str:
    said = f"step {event.record.step}, epoch {epoch}: {cause_of(event)}."
    if event.tensors:
        return f"{said} No checkpoint was written with them. What is known of the step lies in {folder}."
    return (
        f"{said} The weights were not touched by this step. What is known of it lies in {folder}.\n"
        f"Run that step again, picture by picture: {command_line('train', [f'replay={folder}'])}"
    )


def scale_lines(scale: dict[Part, float]) -> list[str]:
    """Return one line on the rates that rollbacks lowered; none where there were none."""
    if not scale:
        return []
    return ["   since rollbacks: " + ", ".join(f"lr/{part} × {factor:g}" for part, factor in scale.items())]
