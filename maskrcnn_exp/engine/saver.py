"""When a run is saved, and what goes into the file."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from maskrcnn_exp.engine.checkpoint import Checkpoint, CheckpointFolder
from maskrcnn_exp.engine.meter import EpochMeter
from maskrcnn_exp.engine.state import TrainState
from maskrcnn_exp.record.run_log import RunLog

__all__ = ["RunIdentity", "Saver"]


@dataclass(frozen=True)
class RunIdentity:
    """What a checkpoint carries so that it can be evaluated and resumed by itself."""

    categories: list[list[object]]  # [id, name], in the order of the labels
    detections_per_image: int
    config: str  # the composed configuration, YAML
    overrides: list[str]  # what the user typed


@dataclass
class Saver:
    """Saves on the first process; `due` and `save` are cheap calls on the others."""

    folder: CheckpointFolder
    state: TrainState
    meter: EpochMeter
    log: RunLog
    identity: RunIdentity
    every_steps: int  # 0: off
    every_minutes: float  # 0: off
    _saved_at: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Say whether a save in mid-epoch is due after this step."""
        by_steps = self.every_steps > 0 and self.state.progress.step % self.every_steps == 0
        by_time = self.every_minutes > 0 and time.monotonic() - self._saved_at > 60 * self.every_minutes
        return by_steps or by_time

    def save(self, *, best: bool = False, epoch: int | None = None) -> None:
        """Write `last.pt`, and name it `best.pt` and by its epoch where asked for."""
        if self.state.fabric.is_global_zero:
            self.folder.save(self.capture(), best=best, epoch=epoch)
        self._saved_at = time.monotonic()

    def capture(self) -> Checkpoint:
        """Return the present moment as a checkpoint."""
        return Checkpoint.capture(
            self.state,
            meter=self.meter.state_dict(),
            record_offset=self.log.offset(),
            categories=self.identity.categories,
            detections_per_image=self.identity.detections_per_image,
            config=self.identity.config,
            overrides=self.identity.overrides,
        )
