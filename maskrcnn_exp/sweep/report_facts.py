"""What a study's report is about: its standing, what mattered, where it explodes, what is wrong with its winner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution

from maskrcnn_exp.diagnose.curves import Curves
from maskrcnn_exp.diagnose.diagnosis import diagnose
from maskrcnn_exp.diagnose.sources import curves_at
from maskrcnn_exp.diagnose.verdict import Verdict
from maskrcnn_exp.errors import DataError
from maskrcnn_exp.sweep.importance import Importance, importances
from maskrcnn_exp.sweep.insight import ExplosionRegion, explosion_regions, final_losses
from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.trial_text import run_folder

__all__ = ["Facts"]


@dataclass(frozen=True)
class Facts:
    standing: Standing
    importances: list[Importance]
    regions: dict[str, tuple[ExplosionRegion, ...]]  # by numeric parameter
    fault: tuple[Verdict, Curves] | None = None  # what the diagnosis finds first in the winner, and its record

    @classmethod
    def of(cls, study: optuna.Study, folder: Path) -> Facts:
        standing = Standing.read(study, folder)
        numeric = [name for name, values in standing.space.items() if not isinstance(values, CategoricalDistribution)]
        regions = {name: explosion_regions(standing.trials, name) for name in numeric}
        return cls(standing, importances(study, standing), regions, _first_fault(standing))

    @property
    def tried(self) -> list[str]:
        """Parameters that a finished trial has, in the order of the space."""
        return [name for name in self.standing.space if any(name in t.params for t in self.standing.finished)]

    @property
    def with_losses(self) -> list[str]:
        """Of them, those over which losses can be drawn."""
        known = [trial for trial in self.standing.finished if final_losses(trial)]
        return [name for name in self.tried if any(name in trial.params for trial in known)]


def _first_fault(standing: Standing) -> tuple[Verdict, Curves] | None:
    """Diagnose the winner; None without one, without a fault, or where its record is not at hand."""
    if standing.best is None:
        return None
    try:
        curves = curves_at(run_folder(standing.best, standing.folder))
    except DataError:
        return None
    faults = diagnose(curves).faults
    return (faults[0], curves) if faults else None
