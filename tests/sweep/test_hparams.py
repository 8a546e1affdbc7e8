"""TensorBoard's own HPARAMS plugin lists the trials, and the run's record stays as it was."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups
from tensorboard.plugins.hparams.get_experiment import Handler as ExperimentHandler

from maskrcnn_exp.record.event_file import EventFile
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.hparams import HPARAMS_FILE, write_hparams
from maskrcnn_exp.sweep.hparams import columns_of

MASK_AP = "mAP/segm_AP"


def record(folder: Path, mask_ap: list[float]) -> int:
    """Write a run's record; returns its length in bytes after the first epoch."""
    events = EventFile.create(folder)
    offsets = []
    for epoch, value in enumerate(mask_ap, start=1):
        events.scalars({MASK_AP: value, "loss/val": 1 / epoch}, step=epoch)
        offsets.append(events.offset())
    events.close()
    return offsets[0]


class Tab:
    """What the HPARAMS tab asks TensorBoard's server for."""

    def __init__(self, logdir: Path) -> None:
        multiplexer = EventMultiplexer()
        multiplexer.AddRunsFromDirectory(str(logdir))
        multiplexer.Reload()
        provider = MultiplexerDataProvider(multiplexer, str(logdir))
        self._backend = backend_context.Context(TBContext(data_provider=provider, logdir=str(logdir)))
        self._request = context.RequestContext()

    def columns(self) -> tuple[list[str], list[str]]:
        experiment = ExperimentHandler(self._request, self._backend, "", api_pb2.GetExperimentRequest()).run()
        return (
            sorted(info.name for info in experiment.hparam_infos),
            sorted(info.name.tag for info in experiment.metric_infos),
        )

    def rows(self) -> dict[str, Any]:
        statuses = [
            api_pb2.STATUS_UNKNOWN,
            api_pb2.STATUS_SUCCESS,
            api_pb2.STATUS_FAILURE,
            api_pb2.STATUS_RUNNING,
        ]
        request = api_pb2.ListSessionGroupsRequest(
            start_index=0, slice_size=100, allowed_statuses=statuses, aggregation_type=api_pb2.AGGREGATION_AVG
        )
        handler = list_session_groups.Handler(self._request, self._backend, "", request)
        return {group.name: group for group in handler.run().session_groups}


def metrics_of(group: Any) -> dict[str, float]:
    return {value.name.tag: value.value for value in group.metric_values}


def test_each_trial_is_a_row_with_its_parameters_and_final_numbers(tmp_path: Path) -> None:
    for number, (mult, values) in enumerate([(1.0, [0.1, 0.2]), (8.25, [0.3, 0.5])]):
        record(tmp_path / str(number), values)
        write_hparams(tmp_path / str(number), {"lr.mask_mult": mult, "clip": "none"}, {MASK_AP: values[-1]})
    rows = Tab(tmp_path).rows()
    assert sorted(rows) == ["0", "1"]
    assert rows["1"].hparams["lr.mask_mult"].number_value == 8.25
    assert rows["1"].hparams["clip"].string_value == "none"
    assert metrics_of(rows["0"]) == pytest.approx({MASK_AP: 0.2})
    assert metrics_of(rows["1"]) == pytest.approx({MASK_AP: 0.5})


def test_columns_are_the_metrics_given_and_not_the_whole_record(tmp_path: Path) -> None:
    record(tmp_path / "0", [0.1])
    write_hparams(tmp_path / "0", {"lr.mask_mult": 1.0}, {MASK_AP: 0.1})
    assert Tab(tmp_path).columns() == (["lr.mask_mult"], [MASK_AP])


def test_metric_that_the_record_does_not_have_is_shown_too(tmp_path: Path) -> None:
    record(tmp_path / "0", [0.4, 0.3])
    write_hparams(tmp_path / "0", {"lr.mask_mult": 1.0}, {MASK_AP: 0.3, f"{MASK_AP}@best": 0.4})
    assert metrics_of(Tab(tmp_path).rows()["0"]) == pytest.approx({MASK_AP: 0.3, f"{MASK_AP}@best": 0.4})


def test_record_shows_the_same_series_before_and_after(tmp_path: Path) -> None:
    record(tmp_path, [0.1, 0.2, 0.3])
    before = History.read(tmp_path)
    write_hparams(tmp_path, {"lr.mask_mult": 3.0}, {MASK_AP: 0.9, "objective": 0.9})
    after = History.read(tmp_path)
    assert after.files == before.files
    assert after.tags == before.tags == ("loss/val", MASK_AP)
    for tag in before.tags:
        np.testing.assert_array_equal(after.series(tag).values, before.series(tag).values)
        np.testing.assert_array_equal(after.series(tag).wall_times, before.series(tag).wall_times)


def test_resume_goes_on_with_the_record_and_keeps_the_parameters(tmp_path: Path) -> None:
    offset = record(tmp_path, [0.1, 0.2])
    write_hparams(tmp_path, {"lr.mask_mult": 3.0}, {MASK_AP: 0.2})
    with_one_epoch = EventFile.resume(tmp_path, offset, tmp_path)
    with_one_epoch.scalar(MASK_AP, 0.7, step=2)
    with_one_epoch.close()
    assert History.read(tmp_path).series(MASK_AP).values == pytest.approx([0.1, 0.7])
    assert (tmp_path / HPARAMS_FILE).is_file()
    assert metrics_of(Tab(tmp_path).rows()["."]) == pytest.approx({MASK_AP: 0.7})


def test_writing_again_replaces_the_file(tmp_path: Path) -> None:
    record(tmp_path, [0.1])
    for mult in (1.0, 2.0):
        write_hparams(tmp_path, {"lr.mask_mult": mult}, {MASK_AP: 0.1})
    assert len(list(tmp_path.iterdir())) == 2  # the record and this
    assert Tab(tmp_path).rows()["."].hparams["lr.mask_mult"].number_value == 2.0


def test_parameter_that_the_first_trial_lacks_has_a_column(tmp_path: Path) -> None:
    space = {
        "clip": CategoricalDistribution(("none", "global")),
        "clip.norm": FloatDistribution(0.1, 10, log=True),
    }
    for number, params in enumerate([{"clip": "none"}, {"clip": "global", "clip.norm": 2.5}]):
        record(tmp_path / str(number), [0.1])
        write_hparams(tmp_path / str(number), params, {MASK_AP: 0.1}, infos=columns_of(space))
    tab = Tab(tmp_path)
    assert tab.columns()[0] == ["clip", "clip.norm"]
    assert tab.rows()["1"].hparams["clip.norm"].number_value == 2.5


def test_failed_trial_without_a_record_is_listed_as_failed(tmp_path: Path) -> None:
    (tmp_path / "4").mkdir()
    write_hparams(tmp_path / "4", {"x": True, "y": None, "z": math.inf}, {MASK_AP: math.nan}, failed=True)
    row = Tab(tmp_path).rows()["4"]
    assert row.sessions[0].status == api_pb2.STATUS_FAILURE
    assert row.hparams["x"].bool_value is True
    assert row.hparams["y"].string_value == "None"
    assert row.hparams["z"].string_value == "inf"
    assert metrics_of(row) == {}
