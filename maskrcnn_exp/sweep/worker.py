"""One worker of a study: takes a trial, trains it, tells the study, until no trial is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maskrcnn_exp.errors import (
    BusyError,
    ConfigError,
    DataError,
    DivergedError,
    Interrupted,
    Pruned,
    UserError,
    WriteError,
)
from maskrcnn_exp.record.secrets import mask_urls
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.objective import Metric
from maskrcnn_exp.sweep.outcome import list_for_tensorboard, objective_of, summary_of
from maskrcnn_exp.sweep.presence import Presence, Watch
from maskrcnn_exp.sweep.settings import SweeperSettings
from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.storage import StorageSpec
from maskrcnn_exp.sweep.study import Plan, SharedStudy, Taken, is_failure
from maskrcnn_exp.sweep.trial import LeaseLost, StudyTrial, set_current_trial
from maskrcnn_exp.sweep.trial_call import (
    call_program,
    is_hydras,
    is_programs_exit,
    is_submitits,
    output_to,
    own_signals,
)
from maskrcnn_exp.sweep.trial_files import drop_checkpoints

__all__ = ["Job", "failure_limit", "work"]

CONSOLE: Final = "console.log"
_BUSY_SECONDS: Final = 3.0


@dataclass(frozen=True)
class Job:
    """Everything that a worker needs; carried to it with cloudpickle."""

    spec: StorageSpec
    plan: Plan
    settings: SweeperSettings
    metrics: tuple[Metric, ...]  # empty: what the program returns is the objective
    hydra_context: Any
    task_function: Any
    config: Any  # the sweep's own Hydra configuration, without secrets
    pool: str  # of the workers that one command started; they can be asked to stop through the storage
    orphans_stop: bool = True  # this worker ends with the process that started it

    @property
    def devices(self) -> int:
        """Devices of one trial: what the program's `trainer.devices` says, where it has such a key."""
        from omegaconf import OmegaConf

        devices = OmegaConf.select(self.config, "trainer.devices")
        return devices if isinstance(devices, int) and devices > 0 else 1  # others write auto or a list there

    def watch(self) -> Watch:
        return Watch(self.spec.folder, self.settings.grace_seconds)


def work(job: Job, came_up: Callable[[], object] = lambda: None) -> bool:
    """Run trials until none is left to start; return False where the worker was told to stop.

    What goes wrong in a trial is kept with the trial and never ends the worker.

    Args:
        job: What to work on.
        came_up: Called once, before the first trial: from there on a death is the trial's matter.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    beat = job.settings.grace_seconds / 4
    with Presence(job.spec, job.plan.study_name, beat, orphans_stop=job.orphans_stop) as presence:
        shared = SharedStudy(job.spec, job.plan, job.watch())
        came_up()
        while not _is_over(shared, job):
            if presence.is_orphan:
                return False
            taken = shared.take(presence.name)
            if taken is None:
                return True
            if not _run_trial(shared, taken, job):
                return False
            _drop_checkpoints(shared, taken, job)
    return True


def _drop_checkpoints(shared: SharedStudy, taken: Taken, job: Job) -> None:
    """Where only the best trials keep theirs: after a trial's end, not where it waits to go on."""
    keep = job.settings.keep_checkpoints
    if keep is not None and shared.trial(taken).state.is_finished():
        standing = shared.patiently(lambda: Standing.read(shared.study, job.spec.folder))
        drop_checkpoints(standing, taken.number, keep)


def _is_over(shared: SharedStudy, job: Job) -> bool:
    if shared.halted() is not None or shared.stop_requested(job.pool):
        return True
    return sum(is_failure(trial) for trial in shared.trials) > failure_limit(job.settings, job.plan)


def failure_limit(settings: SweeperSettings, plan: Plan) -> int:
    """Return how many trials of the whole study may fail."""
    return math.floor(settings.max_failure_rate * plan.n_trials + 1e-9)  # 0.29 * 100 is 28.999…


def _run_trial(shared: SharedStudy, taken: Taken, job: Job) -> bool:
    """Run one trial to its end; return False where this worker was told to stop in the middle of it."""
    folder = job.spec.folder / str(taken.number)
    started = time.monotonic()
    error: BaseException | None = None
    returned: object = None
    set_current_trial(_handle(shared, job, taken, folder))
    try:
        with own_signals(), output_to(folder / CONSOLE, job.settings.quiet):
            returned = call_program(job.hydra_context, job.task_function, job.config, taken.words, taken.number)
    except Exception as caught:
        error = caught
    except BaseException as caught:
        if not is_programs_exit(caught):
            shared.give_back(taken)
            raise
        error = caught
    finally:
        set_current_trial(None)
    seconds = float(shared.attr(taken, attrs.SECONDS) or 0.0) + time.monotonic() - started
    found = "" if error is not None else objective_of(folder, job.metrics, returned, len(job.plan.directions))
    notes = {attrs.SECONDS: seconds, **_record_of(shared, taken, job, found, error)}
    return _tell(shared, taken, job, _Ending(found, error, notes))


def _record_of(
    shared: SharedStudy, taken: Taken, job: Job, found: list[float] | str, error: BaseException | None
) -> dict[str, object]:
    """Return what the trial did to each loss, and list it for TensorBoard where it is at its end."""
    folder = job.spec.folder / str(taken.number)
    goes_on = isinstance(error, Interrupted | BusyError) or is_submitits(error) or _not_written(job, error)
    if not goes_on:
        params, space = job.plan.hparams(shared.trial(taken))
        list_for_tensorboard(folder, params, space, job.metrics, found)
    summary = summary_of(folder)
    return {} if summary is None else {attrs.RECORD: dict(summary)}


@dataclass(frozen=True)
class _Ending:
    """How a trial ended."""

    found: list[float] | str  # values of the objectives, or why there are none
    error: BaseException | None
    notes: dict[str, object]  # attributes to keep with the trial


def _handle(shared: SharedStudy, job: Job, taken: Taken, folder: Path) -> StudyTrial:
    return StudyTrial(
        storage=job.spec,
        study_name=job.plan.study_name,
        trial_id=taken.trial_id,
        number=taken.number,
        lease=taken.worker,
        pool=job.pool,
        metric=job.metrics[0] if len(job.metrics) == 1 else None,
        settings=job.settings,
        run_folder=folder,
        connection=shared.study._storage,  # with its cache: `shared.storage` reads every trial of a database anew
    )


def _tell(shared: SharedStudy, taken: Taken, job: Job, end: _Ending) -> bool:
    from optuna import TrialPruned

    error, notes = end.error, end.notes
    match error:
        case None:
            _tell_value(shared, taken, end)
        case LeaseLost():
            pass
        case Interrupted():
            shared.give_back(taken, notes)
            return False
        case _ if is_submitits(error):
            shared.give_back(taken, notes)
            raise error
        case _ if (unwritten := _not_written(job, error)) is not None:
            # Not the trial's fault, and every other would meet the same: it waits, and goes on with the same command.
            shared.halt(f"trial {taken.number}: {unwritten}", unwritten.exit_code)  # first: nobody is to take it now
            shared.give_back(taken, notes)
        case BusyError():
            # The processes of a killed worker's training need a moment to save and leave.
            shared.give_back(taken, notes)
            time.sleep(_BUSY_SECONDS)
        case Pruned() | TrialPruned():
            shared.prune(taken, str(error) or "pruned by the program", notes)
        case DivergedError():
            shared.fail(taken, _first_line(error), notes, diverged=True)
        case _:
            shared.fail(taken, _first_line(error), notes)
            _halt_where_all_would_fail(shared, error)
    return True


def _tell_value(shared: SharedStudy, taken: Taken, end: _Ending) -> None:
    values = end.found
    if isinstance(values, str):
        shared.fail(taken, values, end.notes)
    elif any(math.isnan(value) for value in values):
        shared.fail(taken, f"the objective is not a number: {values}", end.notes, diverged=True)
    else:
        shared.complete(taken, values, end.notes)


def _halt_where_all_would_fail(shared: SharedStudy, error: BaseException | None) -> None:
    """A wrong path or key in the first trial is wrong in every trial."""
    from optuna.trial import TrialState

    worked = any(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in shared.trials)
    if worked or error is None:
        return
    if isinstance(error, ConfigError | DataError):
        shared.halt(str(error), error.exit_code)
    elif is_hydras(error):
        shared.halt(str(error), ConfigError.exit_code)


def _not_written(job: Job, error: BaseException | None) -> WriteError | None:
    """Return the error where the disk is full, or the study's folder is read-only or gone."""
    if isinstance(error, WriteError):
        return error
    return WriteError.of(error, job.spec.folder) if isinstance(error, OSError) else None


def _first_line(error: BaseException | None) -> str:
    text = mask_urls(str(error)).strip()
    first = text.splitlines()[0] if text else ""
    if isinstance(error, SystemExit):
        return f"the program left with sys.exit({first})"
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"
