"""Who gets which trial: exactly n_trials, none lost, none twice, over processes that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from maskrcnn_exp.errors import ConfigError
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.presence import Presence, Watch
from maskrcnn_exp.sweep.storage import StorageAway, StorageSpec
from maskrcnn_exp.sweep.study import MAX_DEATHS, SharedStudy, Taken, is_failure


@dataclass(frozen=True)
class OneNumber:
    """A plan with one parameter, drawn at random."""

    study_name: str = "s"
    n_trials: int = 6
    directions: tuple[Any, ...] = ("maximize",)

    @property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        return {"x": FloatDistribution(0, 1)}

    def prepare(self, study: optuna.Study, number: int) -> None:
        study.sampler = optuna.samplers.RandomSampler(seed=number)

    def is_exhausted(self, trials: Sequence[FrozenTrial]) -> bool:
        return False

    def words(self, trial: optuna.Trial) -> list[str]:
        return [f"x={trial.params['x']!r}"]

    def hparams(self, trial: FrozenTrial) -> tuple[Mapping[str, object], Mapping[str, BaseDistribution]]:
        return trial.params, self.distributions


def shared_study(folder: Path, plan: OneNumber | None = None, grace_seconds: float = 60) -> SharedStudy:
    return SharedStudy.create(
        StorageSpec(folder), plan or OneNumber(), Watch(folder, grace_seconds), lambda study, is_new: None
    )


def _take(shared: SharedStudy, worker: str) -> Taken:
    taken = shared.take(worker)
    assert taken is not None
    return taken


def _work_on(folder: Path, plan: OneNumber, told: Any) -> None:
    """Take trials and finish them until none is left."""
    shared = shared_study(folder, plan)
    with Presence(shared.spec, plan.study_name, 60) as here:
        while (taken := shared.take(here.name)) is not None:
            time.sleep(0.01)
            told.put(taken.number)
            shared.complete(taken, [float(taken.words[0].removeprefix("x="))])


def _take_and_wait(folder: Path, told: Any) -> None:
    shared = shared_study(folder)
    with Presence(shared.spec, "s", 60) as here:
        told.put(_take(shared, here.name).words)
        time.sleep(60)


def _killed_with_a_trial(folder: Path) -> list[str]:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    process = context.Process(target=_take_and_wait, args=(folder, told))
    process.start()
    words: list[str] = told.get(timeout=60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return words


def test_exactly_n_trials_are_given_out(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    with Presence(shared.spec, "s", 60) as here:
        numbers = [_take(shared, here.name).number for _ in range(6)]
        assert shared.take(here.name) is None
    assert numbers == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("workers", [1, 4])
def test_processes_at_once_share_the_trials_without_gap_or_repeat(workers: int, tmp_path: Path) -> None:
    plan = OneNumber(n_trials=24)
    shared = shared_study(tmp_path, plan)
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    processes = [context.Process(target=_work_on, args=(tmp_path, plan, told)) for _ in range(workers)]
    for process in processes:
        process.start()
    numbers = sorted(told.get(timeout=120) for _ in range(24))
    for process in processes:
        process.join()
    assert numbers == list(range(24))
    assert [trial.state for trial in shared.trials] == [TrialState.COMPLETE] * 24
    assert len({trial.params["x"] for trial in shared.trials}) == 24  # seeded by number: nobody drew another's point


def test_a_killed_workers_trial_goes_on_under_its_number_with_its_parameters(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    words = _killed_with_a_trial(tmp_path)
    with Presence(shared.spec, "s", 60) as here:
        taken = _take(shared, here.name)
    assert (taken.number, taken.words) == (0, words)


def test_a_trial_that_was_asked_for_by_a_worker_that_died_there_is_found(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    shared.study.ask()  # killed before it wrote its name
    with Presence(shared.spec, "s", 60) as here:
        assert _take(shared, here.name).number == 0


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    for _ in range(MAX_DEATHS):
        _take(shared, f"{_this_machine()}:1:gone")
        shared.release_dead_now()
    trial = shared.trials[0]
    assert trial.state == TrialState.FAIL
    assert "its worker died 5 times in a row" in trial.user_attrs[attrs.REASON]
    assert is_failure(trial)


def _this_machine() -> str:
    from maskrcnn_exp.sweep import presence

    return presence._machine()


def test_a_new_epoch_between_two_deaths_forgives_the_earlier_ones(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    for epoch in range(2 * MAX_DEATHS):
        taken = _take(shared, f"{_this_machine()}:1:gone")
        shared.storage.set_trial_intermediate_value(taken.trial_id, epoch, 0.5)
        shared.release_dead_now()
    assert shared.trials[0].state == TrialState.WAITING


def test_a_worker_that_lost_its_trial_cannot_finish_it(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    slow = _take(shared, f"{_this_machine()}:1:asleep")
    with Presence(shared.spec, "s", 60) as here:
        taken = _take(shared, here.name)
        assert taken.number == slow.number
        shared.complete(slow, [0.1])
        assert shared.trials[0].state == TrialState.RUNNING
        shared.complete(taken, [0.9])
    assert shared.trials[0].value == 0.9


def test_a_finished_trial_stays_as_it_is(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    with Presence(shared.spec, "s", 60) as here:
        taken = _take(shared, here.name)
        shared.complete(taken, [0.9])
        shared.fail(taken, "too late")
    assert shared.trials[0].value == 0.9


def test_a_trial_given_back_comes_first(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    with Presence(shared.spec, "s", 60) as here:
        first, second = _take(shared, here.name), _take(shared, here.name)
        shared.give_back(first)
        again = _take(shared, here.name)
    assert (again.number, again.words) == (first.number, first.words)
    assert second.number == 1


def test_a_diverged_trial_does_not_count_as_a_failure(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    with Presence(shared.spec, "s", 60) as here:
        shared.fail(_take(shared, here.name), "loss_mask = nan", diverged=True)
        shared.fail(_take(shared, here.name), "a crash")
    assert [is_failure(trial) for trial in shared.trials] == [False, True]
    assert [trial.user_attrs[attrs.REASON] for trial in shared.trials] == ["loss_mask = nan", "a crash"]


def test_a_pruned_trial_keeps_its_reason_and_last_value(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    with Presence(shared.spec, "s", 60) as here:
        taken = _take(shared, here.name)
        shared.storage.set_trial_intermediate_value(taken.trial_id, 1, 0.2)
        shared.storage.set_trial_intermediate_value(taken.trial_id, 2, 0.3)
        shared.prune(taken, "still at chance")
    trial = shared.trials[0]
    assert (trial.state, trial.value, trial.user_attrs[attrs.REASON]) == (TrialState.PRUNED, 0.3, "still at chance")


def test_a_study_of_other_directions_is_refused(tmp_path: Path) -> None:
    shared_study(tmp_path)
    with pytest.raises(ConfigError, match="was made to maximize, now asked to minimize"):
        shared_study(tmp_path, OneNumber(directions=("minimize",)))


def test_epochs_without_a_value_to_compare_forgive_earlier_deaths_too(tmp_path: Path) -> None:
    shared = shared_study(tmp_path)
    for epoch in range(1, 2 * MAX_DEATHS):
        taken = _take(shared, f"{_this_machine()}:1:gone")
        shared.storage.set_trial_user_attr(taken.trial_id, attrs.EPOCH, epoch)
        shared.release_dead_now()
    assert shared.trials[0].state == TrialState.WAITING


def test_a_trial_that_was_lost_between_storage_and_worker_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = shared_study(tmp_path)
    words = OneNumber.words
    answers = iter([StorageAway("the server restarts"), None])

    def break_once(plan: OneNumber, trial: optuna.Trial) -> list[str]:
        answer = next(answers)
        if answer is not None:
            raise answer
        return words(plan, trial)

    monkeypatch.setattr(OneNumber, "words", break_once)
    with Presence(shared.spec, "s", 60) as here:
        taken = _take(shared, here.name)
    assert (taken.number, len(shared.trials)) == (0, 1)
    assert attrs.DEATHS not in shared.trials[0].user_attrs


def test_a_read_that_fails_under_the_lock_takes_the_lock_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that went away took its lock along; a read tried again by itself would go on without one."""
    shared = shared_study(tmp_path)
    happened: list[str] = []
    real_lock, real_read = StorageSpec.lock, shared.storage.get_all_trials

    def lock(spec: StorageSpec, *arguments: Any) -> Any:
        happened.append("lock")
        return real_lock(spec, *arguments)

    def read(*arguments: Any, **options: Any) -> Any:
        happened.append("read")
        if happened.count("read") == broken:
            raise StorageAway("the server restarts")
        return real_read(*arguments, **options)

    monkeypatch.setattr(StorageSpec, "lock", lock)
    monkeypatch.setattr(shared.storage, "get_all_trials", read)
    for broken in (1, 2):  # the reads for the dead and for the next number
        happened.clear()
        shared.take("elsewhere:boot:1:abc")
        failed_at = [place for place, what in enumerate(happened) if what == "read"][broken - 1]
        assert happened[failed_at + 1] == "lock"


def test_a_trial_that_waits_belongs_to_nobody(tmp_path: Path) -> None:
    """Else the worker that stood still, and lives, would hold it for ever once its next one dies before it signs."""
    shared = shared_study(tmp_path)
    _take(shared, f"{_this_machine()}:1:gone")
    shared.release_dead_now()
    assert shared.trials[0].user_attrs[attrs.LEASE] is None


def test_a_sampler_that_fails_halts_the_study_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = shared_study(tmp_path)

    def fail(plan: OneNumber, trial: optuna.Trial) -> list[str]:
        raise KeyError("lr.mask_mult")

    monkeypatch.setattr(OneNumber, "words", fail)
    assert shared.take("somebody") is None
    assert shared.halted() == {"reason": "no point to try: KeyError: 'lr.mask_mult'", "code": 2}


def test_a_database_sends_finished_trials_once_and_others_as_they_are_now(tmp_path: Path) -> None:
    """A worker reads all trials under the study's lock: at 1,000 of them that was seconds, for everyone who waits."""
    spec = StorageSpec(tmp_path, f"sqlite:///{tmp_path}/study.db")

    def open_study() -> SharedStudy:
        return SharedStudy.create(spec, OneNumber(), Watch(tmp_path, 60), lambda study, is_new: None)

    ours, theirs = open_study(), open_study()
    with Presence(spec, "s", 60) as one, Presence(spec, "s", 60) as other:
        done, running = _take(ours, one.name), _take(theirs, other.name)
        ours.complete(done, [1.0])
        first = theirs.trials
        theirs.complete(running, [2.0])
        again = ours.trials, theirs.trials
    assert [trial.state.name for trial in first] == ["COMPLETE", "RUNNING"]
    assert [[trial.state.name for trial in trials] for trials in again] == [["COMPLETE"] * 2] * 2
    assert again[1][0] is first[0]
    assert again[0][1].value == 2.0
    for shared in (ours, theirs):
        shared.storage.engine.dispose()  # type: ignore[attr-defined]
