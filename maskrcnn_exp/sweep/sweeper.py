"""One sweep, read top-down: what is searched, the study, its workers, the result, and whether it is more than noise."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrcnn_exp.compare.repeat_stats import RepeatVerdict
from maskrcnn_exp.errors import ConfigError, Interrupted, UserError
from maskrcnn_exp.record.console import Console
from maskrcnn_exp.stop import StopFlag, stop_on_signals
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.bar import StudyBar
from maskrcnn_exp.sweep.drive import Drive
from maskrcnn_exp.sweep.identity import check_identity, default_name, differences_of, study_folder
from maskrcnn_exp.sweep.launcher_pool import LauncherPool
from maskrcnn_exp.sweep.live import farewell, study_header, trial_line
from maskrcnn_exp.sweep.objective import Direction, Metric, parse_metric
from maskrcnn_exp.sweep.ownership import came_to_nothing, check_folder, claim_folder, put_aside
from maskrcnn_exp.sweep.plan import SearchPlan
from maskrcnn_exp.sweep.points import first_points, total_trials
from maskrcnn_exp.sweep.pool import LocalPool, Pool
from maskrcnn_exp.sweep.repeats import earlier_verdict, repeats_default, repeats_of, verdict_of
from maskrcnn_exp.sweep.results import write_results
from maskrcnn_exp.sweep.settings import SweeperSettings
from maskrcnn_exp.sweep.space import SearchSpace, parse_space
from maskrcnn_exp.sweep.standing import Standing
from maskrcnn_exp.sweep.storage import StorageSpec
from maskrcnn_exp.sweep.study import Plan, SharedStudy
from maskrcnn_exp.sweep.trial_config import save_config, trial_config
from maskrcnn_exp.sweep.worker import Job

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["Driver"]


@dataclass
class Driver:
    """What Hydra's sweeper plugin delegates to."""

    settings: SweeperSettings
    hydra_context: Any
    task_function: Any
    config: Any

    def sweep(self, arguments: Sequence[str]) -> None:
        """Run or go on with the study that the command line describes.

        Raises:
            ConfigError: the settings, the space or an existing study do not fit.
            Interrupted: a signal came; the same command goes on.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.settings = self._with_metric()
        self.settings.check()
        console = Console()
        space = self._space(arguments)
        metrics, directions = self._objectives()
        name = self.settings.study_name or default_name(space)
        spec = StorageSpec(study_folder(self.config, name), self.settings.storage)
        plan = SearchPlan(name, total_trials(self.settings, space), directions, space, self.settings, self.config)
        job = self._job(spec, plan, metrics)
        found, admit = self._fill(space, spec.folder), self._admit(spec, plan, console)
        shared = SharedStudy.create(spec, plan, job.watch(), found, admit)
        shared.clear_halt()
        save_config(self.config, spec.folder)
        shown = "" if spec.url is None else spec.shown
        header = study_header(shared.study, spec.folder, plan.n_trials, shown, workers=self.settings.n_jobs)
        console.print("\n".join([*space.warnings, *self._notes(), *header]))
        with stop_on_signals() as stop:
            try:
                self._run(shared, job, console, stop)
                repeat = self._repeat(shared, job, console, stop)
            except UserError:
                self._report_what_there_is(shared, job, console)
                raise
        shared.patiently(lambda: self._conclude(shared.study, spec.folder, console, repeat))

    def _space(self, arguments: Sequence[str]) -> SearchSpace:
        settings = self.settings
        space = parse_space(arguments, settings.params, settings.search_space, group_choices=self._group_choices)
        if not space.distributions and not settings.custom_search_space:
            raise ConfigError(
                "nothing to search: no key has a range. Expected one such as "
                "'lr.mask_mult=tag(log, interval(0.1, 30))' on the command line, in hydra.sweeper.params, or a preset: "
                "search=mask_head."
            )
        return space

    def _with_metric(self) -> SweeperSettings:
        """Where no metric is given, take the tag that the program watches itself, if it says one."""
        from omegaconf import OmegaConf

        watched = OmegaConf.select(self.config, "trainer.monitor")
        if self.settings.metric or watched is None or len(self.settings.direction or ()) > 1:
            return self.settings
        return replace(self.settings, metric=(str(watched),))

    def _group_choices(self, group: str) -> list[str]:
        choices: list[str] = self.hydra_context.config_loader.get_group_options(group)
        return choices

    def _objectives(self) -> tuple[tuple[Metric, ...], tuple[Direction, ...]]:
        asked, texts = self.settings.direction or (), self.settings.metric
        metrics = tuple(parse_metric(text, direction) for text, direction in zip_longest(texts, asked) if text)
        if metrics:
            return metrics, tuple(metric.direction for metric in metrics)
        return (), tuple("minimize" if word == "minimize" else "maximize" for word in asked or ("maximize",))

    def _notes(self) -> list[str]:
        """Say what the settings mean for a program whose returned value is the objective, where that may surprise."""
        if self.settings.metric:
            return []
        notes = []
        if self.settings.direction is None:
            notes.append(
                "hydra.sweeper.direction is not set: the returned value is maximised. "
                "(hydra-optuna-sweeper minimised it.)"
            )
        if self.settings.prunes:
            notes.append(
                "the pruner has nothing to compare, because a value is returned only in the end. "
                "Give hydra.sweeper.metric=TAG of the record, or hydra/sweeper/pruner=none."
            )
        return notes

    def _job(self, spec: StorageSpec, plan: Plan, metrics: tuple[Metric, ...]) -> Job:
        return Job(
            spec=spec,
            plan=plan,
            settings=self.settings,
            metrics=metrics,
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=trial_config(self.config, spec),
            pool=uuid.uuid4().hex[:12],
        )

    def _admit(self, spec: StorageSpec, plan: SearchPlan, console: Console) -> Callable[[Study | None], bool]:
        """Return what refuses the wrong folder, and lets a study start over whose only fault was a wrong word."""

        def admit(study: Study | None) -> bool:
            check_folder(spec.folder, plan.study_name, study)
            if study is None or not came_to_nothing(study, spec.folder):
                return False
            directions = tuple(direction.name.lower() for direction in study.directions)
            if directions == plan.directions and not differences_of(study, plan.space, self.settings.metric):
                return False
            console.print(f"study {plan.study_name} starts over: no trial of its earlier words came to anything.")
            put_aside(spec.folder)
            return True

        return admit

    def _fill(self, space: SearchSpace, folder: Path) -> Any:
        def found(study: Study, is_new: bool) -> None:
            check_identity(study, space, self.settings.metric, folder)
            claim_folder(study, folder, is_new=is_new)
            if is_new:
                for params in first_points(self.settings, space):
                    study.enqueue_trial(params)

        return found

    def _pool(self, job: Job) -> Pool:
        n_jobs = min(self.settings.n_jobs, job.plan.n_trials)
        target = str(self.config.hydra.launcher.get("_target_", ""))
        return LocalPool(job, n_jobs) if target.endswith("BasicLauncher") else LauncherPool(job, n_jobs)

    def _run(self, shared: SharedStudy, job: Job, console: Console, stop: StopFlag) -> None:
        """Bring one study to its end, with a line per trial and its results on disk after each."""
        folder, command, total = job.spec.folder, self._command(), job.plan.n_trials
        done = sum(trial.state.is_finished() for trial in shared.trials)

        def finished(trial: FrozenTrial, done: int) -> None:
            standing = shared.patiently(lambda: Standing.read(shared.study, folder))
            best = standing.best if standing.is_single else standing.pareto
            bar.print(trial_line(trial, done, total, best, standing.metrics))
            write()

        def write() -> None:
            shared.patiently(lambda: write_results(shared.study, folder, command, self.settings.seed_key))

        def show(done: int, running: list[FrozenTrial]) -> None:
            bar.update(done, [_running_text(trial) for trial in running])

        with StudyBar(total, done) as bar:
            drive = Drive(shared, self._pool(job), job.pool, self.settings, bar.print, show, finished)
            try:
                drive.run(stop)
            except Interrupted:
                bar.print(f"stopped; what ran is saved in {folder}. Go on with: {self._typed()}")
                raise
            finally:
                write()

    def _repeat(self, shared: SharedStudy, job: Job, console: Console, stop: StopFlag) -> RepeatVerdict | str | None:
        """Train winner and default anew with other seeds, as a study of its own beside the search.

        Returns:
            The verdict, also where an earlier command made the repeats; a sentence where nothing is to repeat.
        """
        best = shared.patiently(lambda: Standing.read(shared.study, job.spec.folder)).best
        if best is None:
            return None
        if self.settings.repeat_best == 0:
            return earlier_verdict(best, job, self.settings.metric)
        repeat_job = repeats_of(best, shared, job, self.config)
        if repeats_default(repeat_job):
            return "the default won; nothing to repeat"
        found = partial(_set_metric, self.settings.metric)
        repeats = shared.patiently(
            lambda: SharedStudy.create(repeat_job.spec, repeat_job.plan, repeat_job.watch(), found)
        )
        pairs = self.settings.repeat_best
        console.print(f"repeating #{best.number} and the default, {pairs} seeds each, without pruning")
        self._run(repeats, repeat_job, console, stop)
        return verdict_of(repeats.trials, job.plan.directions[0], self.settings.metric)

    def _report_what_there_is(self, shared: SharedStudy, job: Job, console: Console) -> None:
        """Write the report of a study that more failures than allowed, or a halt, ended."""
        standing = shared.patiently(lambda: Standing.read(shared.study, job.spec.folder))
        if not self.settings.report or not standing.finished:
            return
        best = standing.best
        repeat = None if best is None else earlier_verdict(best, job, self.settings.metric)
        console.print(f"report: {self._write_report(shared.study, job.spec.folder, repeat)}")

    def _conclude(self, study: Study, folder: Path, console: Console, repeat: RepeatVerdict | str | None) -> None:
        report = self._write_report(study, folder, repeat) if self.settings.report else None
        console.print("\n".join(farewell(study, folder, self._command(), repeat=repeat, report=report)))

    def _write_report(self, study: Study, folder: Path, repeat: RepeatVerdict | str | None) -> Path:
        # Imported at the end of a study: it brings scikit-learn, for which every start of a sweep would wait.
        from maskrcnn_exp.sweep.report import write_report

        return write_report(study, folder, command=self._command(), repeat=repeat)

    def _command(self) -> str:
        """Return how one training is started from a shell, without its words."""
        from maskrcnn_exp.sweep.command import single_run_command

        return single_run_command(sys.argv)

    def _typed(self) -> str:
        from maskrcnn_exp.sweep.command import typed_command

        return typed_command(sys.argv)


def _running_text(trial: FrozenTrial) -> str:
    if not trial.intermediate_values:
        return f"#{trial.number}"
    epoch = max(trial.intermediate_values)
    return f"#{trial.number} epoch {epoch} {trial.intermediate_values[epoch]:.3f}"


def _set_metric(metric: Sequence[str], study: Study, is_new: bool) -> None:
    study.set_user_attr(attrs.METRIC, list(metric))
