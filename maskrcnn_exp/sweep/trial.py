"""What a training knows of the study that it is a trial of. Imports nothing heavy: every training asks here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrcnn_exp.errors import DataError, Interrupted
from maskrcnn_exp.sweep.attrs import DIVERGED, EPOCH, LEASE, STOP

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from maskrcnn_exp.sweep.health import HealthMonitor
    from maskrcnn_exp.sweep.objective import Metric
    from maskrcnn_exp.sweep.settings import SweeperSettings
    from maskrcnn_exp.sweep.storage import StorageSpec

__all__ = ["LeaseLost", "StudyTrial", "current_trial", "set_current_trial"]

_current: StudyTrial | None = None


def current_trial() -> StudyTrial | None:
    """Return the trial that this process works on; None outside of a study."""
    return _current


def set_current_trial(trial: StudyTrial | None) -> None:
    """Called by the worker around a trial."""
    global _current
    _current = trial


class LeaseLost(Interrupted):
    """Another worker took the trial over while this one stood still; what it does from here on must not count."""


@dataclass
class StudyTrial:
    """A trial, as its training sees it: tell how an epoch went, hear whether to stop.

    Picklable: a process that gets it connects to the storage by itself, at the first report. In the worker's own
    process it uses the worker's connection, which has read the finished trials already.
    """

    storage: StorageSpec
    study_name: str
    trial_id: int
    number: int
    lease: str  # the worker's name; whoever holds the trial wrote its own
    pool: str  # the workers that one command started
    metric: Metric | None  # None: several objectives, or a returned value: no pruning by comparison
    settings: SweeperSettings
    run_folder: Path
    mask_chance: float | None = None  # loss_mask of a mask head that guesses; the training knows its loss
    connection: BaseStorage | None = field(default=None, repr=False)  # the worker's; None in another process
    _monitor: HealthMonitor | None = field(default=None, repr=False)
    _study: Any = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "connection": None, "_study": None, "_monitor": None}

    def report(self, epoch: int, values: Mapping[str, float]) -> str | None:
        """Give the study the numbers of one epoch; return the reason to stop, None to go on.

        Args:
            epoch: From 1.
            values: The epoch's numbers under the tags of the record.

        Raises:
            LeaseLost: the trial is another worker's by now.
            Interrupted: the command that started the worker was stopped, maybe on another machine.
        """
        from maskrcnn_exp.sweep.storage import patiently

        return patiently(lambda: self._report(epoch, values), self.settings.grace_seconds)

    def _report(self, epoch: int, values: Mapping[str, float]) -> str | None:
        study = self._connect()
        storage = study._storage
        self._check_lease(storage)
        if study.user_attrs.get(STOP + self.pool):
            raise Interrupted
        reason: str | None = self._monitor.check(epoch, values) if self._monitor is not None else None
        if self._monitor is not None and reason is not None:
            storage.set_trial_user_attr(self.trial_id, DIVERGED, self._monitor.diverged)
            return reason
        value = None if self.metric is None else values.get(self.metric.tag)
        if self.metric is None or value is None or value == -1:
            storage.set_trial_user_attr(self.trial_id, EPOCH, epoch)
            return None
        if epoch not in storage.get_trial(self.trial_id).intermediate_values:
            storage.set_trial_intermediate_value(self.trial_id, epoch, float(value))
        return self._pruned(study, epoch, float(value), self.metric.tag)

    def _pruned(self, study: optuna.Study, epoch: int, value: float, tag: str) -> str | None:
        frozen = study._storage.get_trial(self.trial_id)
        # The pruner is asked in any case: it keeps what it decides by with the trial, for the trials to come.
        if not study.pruner.prune(study, frozen) or self._was_enqueued(frozen):
            return None
        return f"{tag} {value:.4f} after epoch {epoch} ({type(study.pruner).__name__})"

    def _was_enqueued(self, frozen: FrozenTrial) -> bool:
        """Say whether the trial is one of `hydra.sweeper.enqueue`: what a winner has to beat must be known whole."""
        return any(point.items() <= frozen.params.items() for point in self.settings.enqueue)

    def _check_lease(self, storage: Any) -> None:
        frozen = storage.get_trial(self.trial_id)
        holder = frozen.user_attrs.get(LEASE)
        if holder != self.lease or frozen.state.is_finished():
            raise LeaseLost(f"trial {self.number} is {holder}'s, no more {self.lease}'s")

    def _connect(self) -> optuna.Study:
        if self._study is None:
            import optuna

            from maskrcnn_exp.sweep.settings import build_pruner

            self._study = optuna.load_study(
                study_name=self.study_name,
                storage=self.connection or self.storage.open(),
                pruner=build_pruner(self.settings),
            )
            self._monitor = self._open_monitor()
        study: optuna.Study = self._study
        return study

    def _open_monitor(self) -> HealthMonitor:
        """Start from the epochs that a continued trial has behind it."""
        from dataclasses import replace

        from maskrcnn_exp.record.history import History
        from maskrcnn_exp.sweep.health import HealthMonitor

        rules = replace(self.settings.health, mask_chance=self.mask_chance)
        try:
            return HealthMonitor.from_history(rules, History.read(self.run_folder))
        except DataError:
            return HealthMonitor(rules)  # a program that keeps no record, or has none yet
