"""Fill a storage with finished trials, quickly: what is measured afterwards is reading, asking and telling."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert, text

from benchmarks.scaling.studies import METRIC, NAME
from maskrcnn_exp.sweep import attrs
from maskrcnn_exp.sweep.storage import StorageSpec

__all__ = ["fill"]

_AT_ONCE: Final = 500  # rows of trials in one transaction


def fill(spec: StorageSpec, trials: Sequence[FrozenTrial], first: int) -> None:
    """Add finished trials, of which the study holds `first` already; make the study where there is none."""
    if spec.url is None:
        spec.folder.mkdir(parents=True, exist_ok=True)
        journal = JournalStorage(_Unsafe(str(spec.folder / "study.journal")))
        study_id = _study(journal)
        for trial in trials:
            _replay(journal, study_id, trial)
        return
    storage: Any = spec.open()
    study_id = _study(storage)
    for begin in range(0, len(trials), _AT_ONCE):
        _insert(storage, study_id, trials[begin : begin + _AT_ONCE], first + begin)
    storage.engine.dispose()


def _study(storage: JournalStorage | RDBStorage) -> int:
    optuna.create_study(study_name=NAME, storage=storage, direction="maximize", load_if_exists=True)
    study_id = storage.get_study_id_from_name(NAME)
    storage.set_study_user_attr(study_id, attrs.METRIC, [f"{METRIC}@best"])
    return study_id


def _replay(storage: JournalStorage, study_id: int, trial: FrozenTrial) -> None:
    """Write every line that a journal gets in the course of a trial."""
    trial_id = storage.create_new_trial(study_id)
    for name, distribution in trial.distributions.items():
        storage.set_trial_param(trial_id, name, distribution.to_internal_repr(trial.params[name]), distribution)
    for key, value in trial.system_attrs.items():
        storage.set_trial_system_attr(trial_id, key, value)
    for key, value in trial.user_attrs.items():
        storage.set_trial_user_attr(trial_id, key, value)
    for epoch, value in trial.intermediate_values.items():
        storage.set_trial_intermediate_value(trial_id, epoch, value)
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, trial.values)


class _Unsafe(JournalFileBackend):
    """Writes the same lines, but waits for no disk and no lock, and reads only what it wrote last: it is alone."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._read_all, self._new = False, list[dict[str, Any]]()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        if not self._read_all:
            self._read_all, self._new = True, []
            yield from super().read_logs(log_number_from)
            return
        new, self._new = self._new, []
        yield from new

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        self._new += map(json.loads, lines)
        with open(self._file_path, "a") as file:
            file.writelines(f"{line}\n" for line in lines)


def _insert(storage: RDBStorage, study_id: int, trials: Sequence[FrozenTrial], first: int) -> None:
    """Write the rows that the trials would have left, in one transaction."""
    with storage.engine.begin() as connection:
        last = connection.execute(text("SELECT COALESCE(MAX(trial_id), 0) FROM trials")).scalar_one()
        ids = range(int(last) + 1, int(last) + 1 + len(trials))
        table: Any
        for table, rows in _rows(study_id, trials, ids, first):
            connection.execute(insert(table), list(rows))
        if storage.engine.dialect.name == "postgresql":  # a sequence knows nothing of ids that were given
            connection.execute(text("SELECT setval('trials_trial_id_seq', (SELECT MAX(trial_id) FROM trials))"))


def _rows(
    study_id: int, trials: Sequence[FrozenTrial], ids: Sequence[int], first: int
) -> Iterator[tuple[type, Iterable[dict[str, Any]]]]:
    pairs = list(zip(ids, trials, strict=True))
    yield (
        models.TrialModel,
        (
            {
                "trial_id": trial_id,
                "number": first + index,
                "study_id": study_id,
                "state": trial.state,
                "datetime_start": trial.datetime_start,
                "datetime_complete": trial.datetime_complete,
            }
            for index, (trial_id, trial) in enumerate(pairs)
        ),
    )
    yield models.TrialParamModel, (row for trial_id, trial in pairs for row in _params(trial_id, trial))
    yield (
        models.TrialValueModel,
        (
            {"trial_id": trial_id, "objective": 0, "value": trial.value, "value_type": "FINITE"}
            for trial_id, trial in pairs
        ),
    )
    yield (
        models.TrialIntermediateValueModel,
        (
            {
                "trial_id": trial_id,
                "step": step,
                "intermediate_value": value,
                "intermediate_value_type": "FINITE",
            }
            for trial_id, trial in pairs
            for step, value in trial.intermediate_values.items()
        ),
    )
    yield models.TrialUserAttributeModel, (row for trial_id, t in pairs for row in _notes(trial_id, t.user_attrs))
    if any(trial.system_attrs for trial in trials):
        noted = (row for trial_id, trial in pairs for row in _notes(trial_id, trial.system_attrs))
        yield models.TrialSystemAttributeModel, noted


def _params(trial_id: int, trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    for name, distribution in trial.distributions.items():
        yield {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distribution.to_internal_repr(trial.params[name]),
            "distribution_json": optuna.distributions.distribution_to_json(distribution),
        }


def _notes(trial_id: int, notes: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return ({"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in notes.items())
