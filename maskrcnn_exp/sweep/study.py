"""A study over many workers: who gets which trial, whose trial is nobody's any more, when it is done."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.override_keys import refuse_hydra_words
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.objective import Direction
from maskrcnn_exp.sweep.presence import Watch
from maskrcnn_exp.sweep.storage import StorageSpec, is_away, patiently

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState

__all__ = ["MAX_DEATHS", "Plan", "SharedStudy", "Taken", "is_failure"]

MAX_DEATHS: Final = 5

Notes = Mapping[str, object]
NO_NOTES: Final[Notes] = {}

P = ParamSpec("P")
T = TypeVar("T")


def _patient(
    method: Callable[Concatenate[SharedStudy, P], T],
) -> Callable[Concatenate[SharedStudy, P], T]:
    """Try the whole method again while the storage's server is away: half of it may be done, and its lock is lost."""

    @functools.wraps(method)
    def tried(self: SharedStudy, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.patiently(lambda: method(self, *args, **kwargs))

    return tried


Hparams = tuple[Mapping[str, object], "Mapping[str, BaseDistribution]"]
"""Parameters of a trial by name, and those of the whole study."""


class Plan(Protocol):
    """What the trials of a study are; picklable."""

    @property
    def study_name(self) -> str: ...
    @property
    def n_trials(self) -> int: ...
    @property
    def directions(self) -> tuple[Direction, ...]: ...
    @property
    def distributions(self) -> Mapping[str, BaseDistribution]: ...
    def prepare(self, study: Study, number: int) -> None:
        """Set the study's sampler for the trial that is asked for next."""

    def is_exhausted(self, trials: Sequence[FrozenTrial]) -> bool:
        """Say that the trials, finished or running, are every point there is."""

    def words(self, trial: Trial) -> list[str]:
        """Return the trial's command-line words; its `distributions` are suggested already."""

    def hparams(self, trial: FrozenTrial) -> Hparams:
        """Return what TensorBoard is to list of a trial."""


@dataclass(frozen=True)
class Taken:
    """A trial that a worker has."""

    worker: str
    number: int
    trial_id: int
    words: list[str]


@dataclass
class SharedStudy:
    """One connection to a study. Every method may be called by many workers at once.

    Where the storage is a server that is away for a moment, each method waits for it up to `watch.grace_seconds`.
    """

    spec: StorageSpec
    plan: Plan
    watch: Watch
    storage: BaseStorage = field(init=False)
    study: Study = field(init=False)
    _given: set[int] = field(init=False, default_factory=set)  # trials that came through to a worker of this connection

    def __post_init__(self) -> None:
        import optuna

        def connect() -> None:
            self.storage = self.spec.open()
            self.study = optuna.load_study(study_name=self.plan.study_name, storage=self.storage)

        patiently(connect, self.watch.grace_seconds)

    @classmethod
    def create(
        cls,
        spec: StorageSpec,
        plan: Plan,
        watch: Watch,
        found: Callable[[Study, bool], None],
        admit: Callable[[Study | None], bool] = lambda study: False,
    ) -> SharedStudy:
        """Open the study, made where it is absent; `found(study, is_new)` checks or fills it, alone.

        `admit` sees before what is there, None where nothing is; it may refuse, or return True to have it made anew.

        Raises:
            ConfigError: a study of this name has other directions.
        """
        import optuna

        storage = spec.open()
        with spec.lock(storage, plan.study_name):
            names = {summary.study_name for summary in storage.get_all_studies()}
            is_new = plan.study_name not in names
            before_us = None if is_new else optuna.load_study(study_name=plan.study_name, storage=storage)
            if admit(before_us) and not is_new:
                optuna.delete_study(study_name=plan.study_name, storage=storage)
                is_new = True
            study = optuna.create_study(
                study_name=plan.study_name, storage=storage, directions=list(plan.directions), load_if_exists=True
            )
            before = tuple(direction.name.lower() for direction in study.directions)
            if before != plan.directions:
                raise ConfigError(
                    f"study {plan.study_name} in {spec.shown} was made to {'/'.join(before)}, now asked to "
                    f"{'/'.join(plan.directions)}. Give hydra.sweeper.study_name=… a new name."
                )
            found(study, is_new)
        return cls(spec, plan, watch)

    def patiently(self, action: Callable[[], T]) -> T:
        """Return what `action`, which reads this study, returns, as patient with its server as the methods here."""
        return patiently(action, self.watch.grace_seconds)

    @property
    @_patient
    def trials(self) -> list[FrozenTrial]:
        """All trials as they are now, by number. Not to be changed."""
        return self._read_trials()

    def _read_trials(self) -> list[FrozenTrial]:
        """For methods that hold the lock: a server that went away took it along, so they must fail as a whole.

        Not from `storage`: the study's own keeps finished trials, where a database sends all of them each time. That
        is seconds under the lock from 1,000 trials on.
        """
        return self.study.get_trials(deepcopy=False)

    @_patient
    def take(self, worker: str) -> Taken | None:
        """Give the worker a trial: one that waits or was left by a dead worker, else a new one.

        Returns:
            None where no trial is left to start; others may still be running. Also where the sampler or the
            custom search space failed: the whole study is halted then.
        """
        from optuna.trial import TrialState

        with self._locked():
            self.release_dead(worker)
            trials = self._read_trials()
            waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
            if not waiting and (len(trials) >= self.plan.n_trials or self.plan.is_exhausted(trials)):
                return None
            try:
                return self._ask(worker, min(waiting, default=len(trials)))
            except Exception as error:
                if is_away(error):
                    raise
                self.halt(f"no point to try: {type(error).__name__}: {error}", ConfigError.exit_code)
                return None

    def _ask(self, worker: str, number: int) -> Taken:
        self.plan.prepare(self.study, number)
        trial = self.study.ask(dict(self.plan.distributions))
        trial.set_user_attr(attrs.LEASE, worker)
        words = self.plan.words(trial)
        refuse_hydra_words(words)
        trial.set_user_attr(attrs.OVERRIDES, words)
        trial.set_user_attr(attrs.FOLDER, str(trial.number))
        self._given.add(trial.number)
        return Taken(worker, trial.number, trial._trial_id, words)

    def release_dead(self, worker: str | None = None, *, stopped: bool = False) -> list[int]:
        """Put back the trials whose worker is gone, and give up those that keep killing it; return their numbers.

        The caller holds the lock. `stopped`: the caller ended its workers itself, which is nobody's fault. A trial
        that the storage gave to the caller's own `worker`, which never heard of it because the connection broke, is
        put back as well.
        """
        from optuna.trial import TrialState

        study_attrs = self.study.user_attrs
        released = []
        for trial in self._read_trials():
            if trial.state != TrialState.RUNNING:
                continue
            holder = trial.user_attrs.get(attrs.LEASE)
            lost = worker is not None and holder == worker and trial.number not in self._given
            # The lease is written under the lock: a trial without one was asked for by a worker that died there.
            if holder is not None and not lost and not self.watch.is_dead(holder, study_attrs):
                continue
            self._release(trial, died=not (lost or stopped))
            released.append(trial.number)
        return released

    @_patient
    def release_dead_now(self, *, stopped: bool = False) -> list[int]:
        with self._locked():
            return self.release_dead(stopped=stopped)

    def _release(self, trial: FrozenTrial, *, died: bool) -> None:
        from optuna.trial import TrialState

        # Whoever takes it next may die before it signs: the old holder, if it lives after all, has lost it by then.
        self._set(trial._trial_id, attrs.LEASE, None)
        if not died:
            self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
            return
        epoch = max(trial.user_attrs.get(attrs.EPOCH, 0), *trial.intermediate_values, 0)
        progressed = epoch > trial.user_attrs.get(attrs.EPOCH_AT_DEATH, 0)
        deaths = 1 if progressed else trial.user_attrs.get(attrs.DEATHS, 0) + 1
        self._set(trial._trial_id, attrs.DEATHS, deaths)
        self._set(trial._trial_id, attrs.EPOCH_AT_DEATH, epoch)
        if deaths < MAX_DEATHS:
            self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
            return
        reason = f"its worker died {deaths} times in a row without a new epoch (out of memory?)"
        self._set(trial._trial_id, attrs.REASON, reason)
        self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def give_back(self, taken: Taken, notes: Notes = NO_NOTES) -> None:
        """The worker stops before the trial is done: it waits for the next one."""
        from optuna.trial import TrialState

        self._move(taken, TrialState.WAITING, None, notes)

    def complete(self, taken: Taken, values: Sequence[float], notes: Notes = NO_NOTES) -> None:
        """`notes` are attributes to keep with the trial, here and in the other endings."""
        from optuna.trial import TrialState

        self._move(taken, TrialState.COMPLETE, list(values), notes)

    @_patient
    def prune(self, taken: Taken, reason: str, notes: Notes = NO_NOTES) -> None:
        """Optuna takes a pruned trial's last report as its value."""
        from optuna.trial import TrialState

        reports = self.storage.get_trial(taken.trial_id).intermediate_values
        one = len(self.plan.directions) == 1 and reports
        values = [reports[max(reports)]] if one else None
        self._move(taken, TrialState.PRUNED, values, {**notes, attrs.REASON: reason})

    def fail(self, taken: Taken, reason: str, notes: Notes = NO_NOTES, *, diverged: bool = False) -> None:
        """`diverged`: the setting is bad, not the program; that does not count against the failure budget."""
        from optuna.trial import TrialState

        self._move(taken, TrialState.FAIL, None, {**notes, attrs.REASON: reason, attrs.DIVERGED: diverged})

    @_patient
    def trial(self, taken: Taken) -> FrozenTrial:
        return self.storage.get_trial(taken.trial_id)

    def attr(self, taken: Taken, key: str) -> Any:
        return self.trial(taken).user_attrs.get(key)

    @_patient
    def halt(self, reason: str, code: int) -> None:
        """Stop the whole study, until the next command: every trial would fail alike."""
        self.study.set_user_attr(attrs.HALTED, {"reason": reason, "code": code})

    @_patient
    def halted(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.study.user_attrs.get(attrs.HALTED)
        return found

    @_patient
    def request_stop(self, pool: str) -> None:
        """Ask the workers of one command to give their trials back, wherever they run."""
        self.study.set_user_attr(attrs.STOP + pool, True)

    @_patient
    def stop_requested(self, pool: str) -> bool:
        return bool(self.study.user_attrs.get(attrs.STOP + pool))

    @_patient
    def clear_halt(self) -> None:
        if self.halted() is not None:
            self.study.set_user_attr(attrs.HALTED, None)

    @_patient
    def _move(self, taken: Taken, state: TrialState, values: list[float] | None, notes: Notes) -> None:
        """Change the state of a trial, where it is still this worker's: one who stood still may have lost it."""
        with self._locked():
            frozen = self.storage.get_trial(taken.trial_id)
            if frozen.state.is_finished() or frozen.user_attrs.get(attrs.LEASE) != taken.worker:
                return
            for key, value in notes.items():
                self._set(taken.trial_id, key, value)
            if state.is_finished():
                # The grid sampler stops the study when its grid is done, which Optuna allows in `optimize` only.
                with suppress(RuntimeError):
                    self.study.sampler.after_trial(self.study, frozen, state, values)
            self.storage.set_trial_state_values(taken.trial_id, state, values)

    def _locked(self) -> AbstractContextManager[None]:
        return self.spec.lock(self.storage, self.plan.study_name)

    def _set(self, trial_id: int, key: str, value: object) -> None:
        self.storage.set_trial_user_attr(trial_id, key, value)


def is_failure(trial: FrozenTrial) -> bool:
    """Say whether a trial counts against the failure budget: it failed for another reason than divergence."""
    from optuna.trial import TrialState

    return trial.state == TrialState.FAIL and not trial.user_attrs.get(attrs.DIVERGED, False)
