"""A run's settings for TensorBoard's HPARAMS tab, in one small file beside its record.

The file's name sorts behind the record's, because TensorBoard goes through a folder's files by name and never back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from maskrcnn_exp.errors import DataError
from maskrcnn_exp.record.history import History
from maskrcnn_exp.record.side_file import write_side_file

__all__ = ["HPARAMS_FILE", "plain", "type_of", "write_hparams"]

HPARAMS_FILE: Final = "hparams.tfevents.maskrcnn-exp"


def write_hparams(
    run_folder: Path,
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    *,
    infos: Sequence[Any] = (),
    first: Collection[str] = (),
    failed: bool = False,
) -> None:
    """Write the file that lists a run in TensorBoard's HPARAMS tab, in place of an earlier one.

    A metric whose tag is in the run's record is not written again: the tab shows the record's last value, and the
    curve stays as it is. Another metric, such as `mAP/segm_AP@best`, is written at step 0.

    Args:
        run_folder: Must exist: a run's folder that was moved away is not made anew.
        params: By name. Numbers, truth values and strings stay what they are, all else becomes text.
        metrics: By tag, what the tab's columns are. A value that is not finite is left out of the file.
        infos: `HParamInfo` messages of columns; the other params become columns of their values' type. TensorBoard
            takes the columns from one run only, so a column that this run has no value for needs one.
        first: Names of params whose columns stand before all others; TensorBoard shows only some of them unasked. An
            `HParamInfo` says it by its `differs`.
        failed: The run did not complete.
    """
    recorded = _recorded_tags(run_folder)
    own = {tag: value for tag, value in metrics.items() if tag not in recorded and math.isfinite(value)}
    shown = {name: plain(value) for name, value in params.items()}
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    values = [
        _value(metadata.EXPERIMENT_TAG, experiment=_experiment(shown, metrics, infos, first)),
        _value(metadata.SESSION_START_INFO_TAG, session_start_info=_session_start(shown)),
        _value(
            metadata.SESSION_END_INFO_TAG,
            session_end_info=plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time()),
        ),
        *(summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in own.items()),
    ]
    write_side_file(run_folder / HPARAMS_FILE, values)


def _recorded_tags(run_folder: Path) -> frozenset[str]:
    try:
        return frozenset(History.read(run_folder).tags)
    except DataError:  # no record yet: a run that failed before its first epoch
        return frozenset()


def _experiment(
    params: Mapping[str, bool | float | str], metrics: Mapping[str, float], infos: Sequence[Any], first: Collection[str]
) -> Any:
    described = {info.name for info in infos}
    others = (_info(name, value, name in first) for name, value in params.items() if name not in described)
    every = [*infos, *others]
    return api_pb2.Experiment(
        hparam_infos=sorted(every, key=lambda info: str(info.name)),
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics],
    )


def _info(name: str, value: bool | float | str, first: bool) -> Any:
    return api_pb2.HParamInfo(name=name, type=type_of(value), differs=first)  # TensorBoard sorts by it, then by name


def type_of(value: bool | float | str) -> int:
    """Return the type of a column of such values."""
    if isinstance(value, bool):
        return int(api_pb2.DATA_TYPE_BOOL)
    return int(api_pb2.DATA_TYPE_STRING if isinstance(value, str) else api_pb2.DATA_TYPE_FLOAT64)


def _session_start(params: Mapping[str, bool | float | str]) -> Any:
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for name, value in params.items():
        if isinstance(value, bool):  # before numbers: True is an int too
            info.hparams[name].bool_value = value
        elif isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    return info


def plain(value: object) -> bool | float | str:
    """Return a value as a column holds it; infinity becomes text, because the tab's JSON has no word for it."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    return str(value)


def _value(tag: str, **content: Any) -> Any:
    return summary_pb2.Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content)),
        tensor=metadata.NULL_TENSOR,
    )
