"""The columns of a study's parameters in TensorBoard's HPARAMS tab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from tensorboard.plugins.hparams import api_pb2

from maskrcnn_exp.record.hparams import plain, type_of

__all__ = ["columns_of"]


def columns_of(space: Mapping[str, BaseDistribution]) -> list[Any]:
    """Return an `HParamInfo` message per parameter, with its range or its choices; they stand first."""
    return [_column(name, distribution) for name, distribution in space.items()]


def _column(name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, FloatDistribution | IntDistribution):
        interval = api_pb2.Interval(min_value=distribution.low, max_value=distribution.high)
        return api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_FLOAT64, domain_interval=interval, differs=True)
    choices = distribution.choices if isinstance(distribution, CategoricalDistribution) else ()
    values = [plain(choice) for choice in choices]
    types = {type_of(value) for value in values}
    kind = types.pop() if len(types) == 1 else api_pb2.DATA_TYPE_STRING
    info = api_pb2.HParamInfo(name=name, type=kind, differs=True)
    info.domain_discrete.extend(values)
    return info
