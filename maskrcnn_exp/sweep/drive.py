"""The driver's watch over one study: workers started, finished trials told, dead ones' trials put back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from maskrcnn_exp.errors import ConfigError, DataError, Interrupted, UserError, WriteError
from maskrcnn_exp.stop import StopFlag
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.pool import Pool
from maskrcnn_exp.sweep.settings import SweeperSettings
from maskrcnn_exp.sweep.study import SharedStudy, is_failure
from maskrcnn_exp.sweep.worker import failure_limit

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["Drive"]

_POLL_SECONDS: Final = 0.5
_REPAIR_SECONDS: Final = 5.0


@dataclass
class Drive:
    """Runs one study to its end. It never trains; what it knows it reads from the storage."""

    shared: SharedStudy
    pool: Pool
    pool_name: str
    settings: SweeperSettings
    say: Callable[[str], None]
    show: Callable[[int, list[FrozenTrial]], None]  # finished trials, running ones
    finished: Callable[[FrozenTrial, int], None]  # a trial that finished, whoever ran it; how many have by now
    _told: set[int] = field(default_factory=set)
    _repaired_at: float = field(default_factory=time.monotonic)

    def run(self, stop: StopFlag) -> None:
        """Return when every trial of the study is finished, by whomever.

        Raises:
            Interrupted: a signal came; what ran is saved and waits for the same command.
            UserError: more trials failed than allowed, or all would fail alike.
        """
        self._told = {trial.number for trial in self.shared.trials if trial.state.is_finished()}
        try:
            while self._step(stop):
                time.sleep(_POLL_SECONDS)
        finally:
            self.shared.request_stop(self.pool_name)
            self.pool.stop()
            self.shared.release_dead_now(stopped=True)
        self._tell_finished(self.shared.trials)
        if stop():
            raise Interrupted

    def _step(self, stop: StopFlag) -> bool:
        trials = self.shared.trials
        self._tell_finished(trials)
        self._refuse_to_go_on(trials)
        done = sum(trial.state.is_finished() for trial in trials)
        is_done = done >= self.shared.plan.n_trials or (done == len(trials) and self.shared.plan.is_exhausted(trials))
        if stop() or is_done:
            return False
        for message in self.pool.died():
            self.say(message)
            self._repaired_at = 0.0
        if time.monotonic() - self._repaired_at > _REPAIR_SECONDS:
            self.shared.release_dead_now()
            self._repaired_at = time.monotonic()
            trials = self.shared.trials
        self.pool.start(self._takeable(trials))
        self.show(done, [trial for trial in trials if _is(trial, "RUNNING")])
        return True

    def _takeable(self, trials: list[FrozenTrial]) -> int:
        """Trials that nobody has: those that wait, and those not yet asked for."""
        waiting, plan = sum(_is(trial, "WAITING") for trial in trials), self.shared.plan
        return waiting if plan.is_exhausted(trials) else waiting + max(0, plan.n_trials - len(trials))

    def _tell_finished(self, trials: list[FrozenTrial]) -> None:
        for trial in trials:
            if trial.state.is_finished() and trial.number not in self._told:
                self._told.add(trial.number)
                self.finished(trial, len(self._told))

    def _refuse_to_go_on(self, trials: list[FrozenTrial]) -> None:
        halted = self.shared.halted()
        if halted is not None:
            if halted["code"] == WriteError.exit_code:
                raise WriteError(f"{halted['reason']} The study is kept: the same command goes on with the trial.")
            kinds: dict[int, type[UserError]] = {ConfigError.exit_code: ConfigError, DataError.exit_code: DataError}
            raise kinds.get(halted["code"], UserError)(f"the first trial could not start: {halted['reason']}")
        failures = [trial for trial in trials if is_failure(trial)]
        limit = failure_limit(self.settings, self.shared.plan)
        if len(failures) > limit:
            reasons = "\n".join(f"   #{t.number}: {t.user_attrs.get(attrs.REASON, 'unknown')}" for t in failures[-10:])
            raise ConfigError(
                f"{len(failures)} of {self.shared.plan.n_trials} trials failed, more than "
                f"hydra.sweeper.max_failure_rate={self.settings.max_failure_rate:g} allows ({limit}):\n{reasons}\n"
                f"What each printed: {self.shared.spec.folder}/TRIAL/console.log. The study is kept; the same command "
                "with a higher rate goes on."
            )


def _is(trial: FrozenTrial, state: str) -> bool:
    return trial.state.name == state
